"""How what others are told is signed."""

from __future__ import annotations

import base64
import hashlib
import hmac


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """What a receiver compares: ``v1,`` and base64. A secret ``whsec_...`` is base64, as their libraries write it."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    prefix, mark, coded = secret.partition("whsec_")
    key = base64.b64decode(coded) if mark and not prefix else secret.encode()
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
