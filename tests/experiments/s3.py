"""A store that speaks S3, for as long as a test."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer


@contextmanager
def local_s3(bucket: str) -> Iterator[str]:
    """The address of an S3-compatible server on the loopback with one empty bucket; it keeps everything in memory."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    try:
        urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT"), timeout=60).close()
        yield address
    finally:
        server.stop()
