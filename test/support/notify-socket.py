"""systemd's side of sd_notify(3): binds a Unix datagram socket, and prints each message as one line of JSON."""
import json
import os
import socket
import sys

receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print("bound", flush=True)
while True:
    data, descriptors, _, _ = socket.recv_fds(receiver, 65536, 16)
    # BARRIER=1 brings a pipe whose closing says that everything before it has been read.
    for descriptor in descriptors:
        os.close(descriptor)
    if b"BARRIER=1" not in data:
        print(json.dumps(data.decode().strip().split("\n")), flush=True)
