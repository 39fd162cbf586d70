"""Search a gallery with a photo instead of a video.

python examples/own_gallery.py photo.jpg gallery [BUNDLE]
"""

import sys
from pathlib import Path

from dprnet import Gallery
from dprnet.core.bundle import Bundle
from dprnet.core.images import read_image
from dprnet.embed.embedder import Embedder

embedder = Embedder.from_bundle(Bundle.from_pretrained(sys.argv[3] if len(sys.argv) > 3 else "tiny"))
with Gallery.open(Path(sys.argv[2]), embedder=embedder.identity) as gallery:
    vector = embedder.views([read_image(Path(sys.argv[1])).image])
    for match in gallery.search(vector, 5)[0]:
        print(f"{match.similarity:.3f}  {match.item_id}  {match.title}")
