"""A process with both kinds of buckets, in memory: `python tests/emulated_buckets.py BUCKET`.

Prints the environment in which `gs://BUCKET` and `s3://BUCKET` are those, as JSON, and runs until
its standard input ends.
"""

import json
import os
import socket
import sys

from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

_KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def main(bucket):
    said, sys.stdout = sys.stdout, sys.stderr  # Servers log every request.
    s3 = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    s3.start()
    port = free_port()
    create_server("127.0.0.1", port, in_memory=True, default_bucket=bucket).start()
    host, s3_port = s3.get_host_and_port()
    found = {
        **_KEYS,
        "AWS_ENDPOINT_URL": f"http://{host}:{s3_port}",
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        # gcsfs would ask Google which kind of bucket this is.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        "NO_GCE_CHECK": "true",
    }
    os.environ.update(found)
    import s3fs

    s3fs.S3FileSystem().mkdir(bucket)
    print(json.dumps(found), file=said, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
