"""The generated code of the wire contract. A project of yours generates it when it is built; here it is done at each start, into a temporary folder.

protoc with the plugin and not grpcio-tools of Debian 12, which is too old for the "optional" of proto3.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

SAMPLES = pathlib.Path(__file__).resolve().parent.parent
PROTOS = SAMPLES.parent.parent / "protos"

with tempfile.TemporaryDirectory() as folder:
    subprocess.run(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={SAMPLES}",
            f"--python_out={folder}",
            f"--grpc_python_out={folder}",
            f"--plugin=protoc-gen-grpc_python={shutil.which('grpc_python_plugin')}",
            "otpauth/v1/otp_auth.proto",
            "otpauth/v1/otp_operations.proto",
            "rpc_status.proto",
        ],
        check=True,
    )
    sys.path.insert(0, folder)
    import rpc_status_pb2 as rpc
    from otpauth.v1 import otp_auth_pb2 as auth
    from otpauth.v1 import otp_auth_pb2_grpc as auth_grpc
    from otpauth.v1 import otp_operations_pb2 as operations
    from otpauth.v1 import otp_operations_pb2_grpc as operations_grpc

    sys.path.remove(folder)

__all__ = ["auth", "auth_grpc", "operations", "operations_grpc", "rpc"]
