"""Start the service and let it run."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from dprnet.core.errors import BadRecipe, MissingExtra
from dprnet.service.config import ServiceConfig

if TYPE_CHECKING:
    import uvicorn

    from dprnet.service.state import Service

BACKLOG = 128
GRACE_S = 1  # ours: answers that are being given may end; pages that follow a job come back, decoding stops within 2 s


def serve(config: ServiceConfig, tell: Callable[[str], None] = lambda address: None) -> None:
    """Run until interrupted.

    Args:
        tell: called with the address once it is listened on.

    Raises:
        BadRecipe: bound to another address than this machine's without a key; another service on the folder; the port
            is taken.
        MissingExtra: the service's packages are not installed.
    """
    config.refuse_open_door()
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra(error.name or "fastapi", "install it with: pip install 'dprnet[serve]'") from None
    from dprnet.service.state import Service

    with _listening(config) as door:
        server = make_server(Service(config, own_process=True))
        host = f"[{config.host}]" if ":" in config.host else config.host
        tell(f"http://{host}:{door.getsockname()[1]}")
        server.run([door])


def make_server(service: Service) -> uvicorn.Server:
    """The server of a service; to be given an open socket."""
    import uvicorn

    from dprnet.service.app import make_app
    from dprnet.service.hasty import hasty

    return uvicorn.Server(
        uvicorn.Config(
            make_app(service),
            access_log=False,  # it would log names of videos
            log_level=logging.ERROR,  # it warns of every request that makes no sense
            server_header=False,
            proxy_headers=False,
            ws="none",
            http=hasty(service.config.silence_s),
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=15,
            h11_max_incomplete_event_size=64 << 10,
        )
    )


def _listening(config: ServiceConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((config.host, config.port))
        door.listen(BACKLOG)
    except OSError as error:
        door.close()
        where = f"{config.host}:{config.port}"
        raise BadRecipe(where, f"cannot be listened on ({error.strerror or error}); choose another --port") from None
    return door
