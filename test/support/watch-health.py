"""A client of the admin API that shares nothing with ours but the .proto file: Python's own gRPC, one JSON line for each thing that happens.

usage: watch-health.py watch|add-client ADDRESS CA CERTIFICATE KEY
"""

import json
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from lb.admin.v1 import admin_pb2, admin_pb2_grpc


def say(**facts):
    print(json.dumps(facts), flush=True)


def refusal_of(error):
    facts = {"code": error.code().name}
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            facts["reason"] = info.reason
        elif detail.Unpack(bad_request):
            facts["fields"] = [violation.field for violation in bad_request.field_violations]
    return facts


def watch(admin):
    """Goes on after the last revision that is known, and begins anew when told that it is too old."""
    since = 0
    while True:
        say(since=since)
        try:
            for event in admin.WatchHealth(admin_pb2.WatchHealthRequest(since_revision=since), wait_for_ready=True):
                kind = admin_pb2.WatchHealthResponse.Kind.Name(event.kind)
                say(kind=kind, server=event.server, to=admin_pb2.HealthState.Name(event.to), cause=event.cause, revision=event.revision)
                if event.kind != admin_pb2.WatchHealthResponse.KIND_STATE:
                    since = event.revision
        except grpc.RpcError as error:
            say(**refusal_of(error))
            if error.code() == grpc.StatusCode.OUT_OF_RANGE:
                since = 0
            elif error.code() != grpc.StatusCode.UNAVAILABLE:
                raise


def add_client(admin):
    limits = admin_pb2.Limits(connection_rate=admin_pb2.ConnectionRate(limit=2_000_000))
    client = admin_pb2.Client(client_id="python", allowed_target_groups=["web"], limits=limits)
    try:
        admin.AddClient(admin_pb2.AddClientRequest(client=client))
    except grpc.RpcError as error:
        say(**refusal_of(error))
    client.limits.connection_rate.limit = 7
    say(revision=admin.AddClient(admin_pb2.AddClientRequest(client=client)).revision)


def main():
    what, address, *files = sys.argv[1:]
    ca, certificate, key = (open(file, "rb").read() for file in files)
    credentials = grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=certificate)
    impatient = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
    with grpc.secure_channel(address, credentials, options=impatient) as channel:
        {"watch": watch, "add-client": add_client}[what](admin_pb2_grpc.AdminServiceStub(channel))


main()
