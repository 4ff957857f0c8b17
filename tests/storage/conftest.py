"""What the tests of storage share: an object store of their own, and places to keep files in."""

import itertools
import logging
import warnings

import pytest

from populace.storage.files import LocalFiles
from populace.storage.objects import ObjectFiles

numbers = itertools.count()


class Store:
    """A moto server on this machine: a bucket named "bucket", and folders that nobody has used."""

    def __init__(self, address):
        self.address = address
        self.filesystem(allow_bucket_creation=True).create_dir("bucket")

    def filesystem(self, **options):
        """A pyarrow.fs.S3FileSystem on it."""
        from pyarrow.fs import S3FileSystem

        return S3FileSystem(
            endpoint_override=self.address, scheme="http", region="us-east-1", **options
        )

    def folder(self):
        """The path of a new folder, for a pair with `filesystem()`."""
        return f"bucket/folder{next(numbers)}/inner"

    def uri(self, path=None):
        """The URI of a path, by default of a new folder."""
        query = f"endpoint_override={self.address}&scheme=http&region=us-east-1"
        return f"s3://{path or self.folder()}?{query}"


@pytest.fixture(scope="session")
def s3():
    """An S3 server with a bucket, or a skipped test where moto is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moto's own, at import
        try:
            from moto.server import ThreadedMotoServer
        except ImportError:
            pytest.skip("needs an S3 server to talk to: pip install 'moto[server]'")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield Store("{}:{}".format(*server.get_host_and_port()))
    server.stop()


@pytest.fixture(params=["local", "s3", "other"])
def place(request, tmp_path):
    """A function that opens the same place anew, for each kind of place."""
    if request.param == "local":
        return lambda: LocalFiles(tmp_path / "runs" / "today")
    if request.param == "s3":
        store = request.getfixturevalue("s3")
        folder = store.folder()
        return lambda: ObjectFiles(store.filesystem(), folder, settle_s=0)
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    inner = SubTreeFileSystem(str(tmp_path), LocalFileSystem())
    return lambda: ObjectFiles(inner, "runs/today", settle_s=0)
