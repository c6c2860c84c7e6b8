"""The server of server.py over TLS, with web.crt and web.key.

It speaks HTTP/1.1. Who does not trust it is heard in the handshake, and of him
nothing is noted.
"""
import os
import socket
import ssl
import threading

import server

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("web.crt", "web.key")
context.set_alpn_protocols(["http/1.1"])


def talk(connection):
    try:
        with context.wrap_socket(connection, server_side=True) as secured:
            reader = secured.makefile("rb")
            request = server.read_request(reader)
            if request:
                server.note(" ".join(request[0]))
                server.talk(secured, reader, request)
    except OSError:
        pass


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(os.environ["PORT"])))
listener.listen(1024)
while True:
    threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
