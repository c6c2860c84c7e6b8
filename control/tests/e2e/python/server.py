"""An HTTP/1.1 server under the control of a test.

It accepts one connection after the other and notes the first request of each
in the file `requests`, so that the order of arrival is the order of the lines.

  /wait/NAME    answers once the file NAME exists
  /stream/NAME  sends the first half, and the second once NAME exists
  /close/...    answers and closes
  all others    answers at once

The answer's body: the method, the path, and the process id.
"""
import os
import socket
import threading
import time


def note(line):
    with open("requests", "a") as file:
        file.write(line + "\n")


def until(name):
    while not os.path.exists(name):
        time.sleep(0.005)


def read_request(reader):
    """The request line and the body, or None at the end."""
    line = reader.readline()
    if not line.endswith(b"\r\n"):
        return None
    length, chunked = 0, False
    while True:
        header = reader.readline()
        if header in (b"\r\n", b""):
            break
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if name.lower() == b"transfer-encoding":
            chunked = True
    body = reader.read(length)
    while chunked:
        size = int(reader.readline(), 16)
        body += reader.read(size)
        reader.readline()
        if size == 0:
            break
    return line.decode().split(" ")[:2], body


def answer(connection, method, path, body):
    text = f"{method} {path} {os.getpid()} {body.decode()}\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n"
    if path.startswith("/close/"):
        head += "Connection: close\r\n"
    head = (head + "\r\n").encode()
    kind, _, name = path[1:].partition("/")
    if kind == "wait":
        until(name)
    if kind == "stream":
        middle = len(text) // 2
        connection.sendall(head + text[:middle])
        until(name)
        connection.sendall(text[middle:])
    else:
        connection.sendall(head + text)
    return not path.startswith("/close/")


def talk(connection, reader, request):
    try:
        while request:
            (method, path), body = request
            if not answer(connection, method, path, body):
                break
            request = read_request(reader)
            if request:
                note(" ".join(request[0]))
    except OSError:
        pass
    connection.close()


def serve():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(os.environ["PORT"])))
    listener.listen(1024)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = connection.makefile("rb")
        try:
            request = read_request(reader)
        except OSError:
            request = None
        if request is None:
            connection.close()
            continue
        note(" ".join(request[0]))
        threading.Thread(target=talk, args=(connection, reader, request), daemon=True).start()


if __name__ == "__main__":
    serve()
