"""A gRPC client that has no stubs: it finds services and messages by reflection.

usage: driver.py ADDRESS TOKEN inspect ENVIRONMENT FLAG TARGET
       driver.py ADDRESS TOKEN export
Prints one JSON object.
"""

import hashlib
import json
import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

DEADLINE_SECONDS = 60


class Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Sends the token with every call, reflection's too."""

    def __init__(self, token):
        self.metadata = [("authorization", f"Bearer {token}")]

    def _with_token(self, details):
        return details._replace(metadata=self.metadata) if hasattr(details, "_replace") else details

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(self._with_token(details), request)

    def intercept_unary_stream(self, continuation, details, request):
        return continuation(self._with_token(details), request)

    def intercept_stream_stream(self, continuation, details, requests):
        return continuation(self._with_token(details), requests)


class Relay:
    def __init__(self, address, token):
        self.channel = grpc.intercept_channel(grpc.insecure_channel(address), Bearer(token))
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = DescriptorPool(self.database)

    def services(self):
        return sorted(self.database.get_services())

    def call(self, service, method, **fields):
        found = self.pool.FindServiceByName(service).FindMethodByName(method)
        request = GetMessageClass(found.input_type)(**fields)
        kind = self.channel.unary_stream if found.server_streaming else self.channel.unary_unary
        stub = kind(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        return stub(request, timeout=DEADLINE_SECONDS)


INSPECT = "ffrelay.inspect.v1.InspectService"


def inspect(relay, environment, flag, target):
    as_json = json_format.MessageToDict
    environments, token = [], ""
    while True:
        page = relay.call(INSPECT, "ListEnvironments", page_size=1, page_token=token)
        environments += [each.id for each in page.environments]
        token = page.next_page_token
        if not token:
            break
    shown = relay.call(INSPECT, "GetFlag", environment_id=environment, identifier=flag)
    explained = relay.call(
        INSPECT, "ExplainEvaluation", environment_id=environment, flag=flag, target_identifier=target
    )
    try:
        relay.call(INSPECT, "GetFlag", environment_id=environment, identifier="no-such-flag")
        missing = "found"
    except grpc.RpcError as error:
        missing = error.code().name
    return {
        "services": relay.services(),
        "environments": environments,
        "flag": as_json(shown.flag),
        "flag_json": json.loads(shown.json),
        "explanation": as_json(explained),
        "missing": missing,
    }


def export(relay):
    hashed, size, header, trailer = hashlib.sha256(), 0, None, None
    for frame in relay.call("ffrelay.snapshot.v1.SnapshotService", "ExportSnapshot"):
        kind = frame.WhichOneof("frame")
        assert trailer is None, "a frame behind the trailer"
        if kind == "header":
            assert header is None and size == 0, "the header is not the first frame"
            header = frame.header
        elif kind == "chunk":
            assert header is not None and frame.chunk.offset == size, f"a gap at {size}"
            assert len(frame.chunk.data) <= 256 * 1024, "a chunk above 256 KiB"
            hashed.update(frame.chunk.data)
            size += len(frame.chunk.data)
        elif kind == "trailer":
            trailer = frame.trailer
    assert trailer is not None, "no trailer: the transfer failed"
    assert size == trailer.total_size == header.total_size, "not the size that was said"
    assert hashed.digest() == trailer.sha256 == header.sha256, "not the bytes that were sent"
    return {"bytes": size, "sha256": hashed.hexdigest(), "environments": [e.environment_id for e in header.environments]}


def main():
    address, token, command, *arguments = sys.argv[1:]
    relay = Relay(address, token)
    answer = {"inspect": inspect, "export": export}[command](relay, *arguments)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
