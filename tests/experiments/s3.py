"""A store that speaks S3, for as long as a test."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def local_s3(bucket: str) -> Iterator[str]:
    """The address of an S3-compatible server on the loopback with one empty bucket; it keeps everything in memory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT"), timeout=60).close()
                break
            except OSError:  # not listening yet
                time.sleep(0.1)
        else:
            raise TimeoutError("the S3 server did not start within a minute")
        yield address
    finally:
        server.kill()  # it holds nothing that has to be kept
        server.wait()
