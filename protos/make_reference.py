#!/usr/bin/python3
"""Writes REFERENCE.md from the contract: buf build protos --output - | /usr/bin/python3 protos/make_reference.py > protos/REFERENCE.md"""

import collections
import sys

from google.protobuf import descriptor_pb2

PACKAGE = "otpauth.v1"
Field = descriptor_pb2.FieldDescriptorProto

# Numbers of the fields of descriptor.proto, of which the paths to comments are made.
MESSAGES, ENUMS, SERVICES = 4, 5, 6
METHODS = VALUES = FIELDS = 2
NESTED_MESSAGES, NESTED_ENUMS = 3, 4

Kind = collections.namedtuple("Kind", "name descriptor comment path comments")


def main():
    files = [f for f in descriptor_pb2.FileDescriptorSet.FromString(sys.stdin.buffer.read()).file if f.package == PACKAGE]
    services, messages, enums = [], {}, {}
    for file in files:
        comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        if not comments:
            sys.exit("The descriptors have no comments: build them with source info.")
        services += [kind(comments, (SERVICES, n), found, found.name, file.name) for n, found in enumerate(file.service)]
        for n, found in enumerate(file.enum_type):
            enums[found.name] = kind(comments, (ENUMS, n), found, found.name)
        for n, found in enumerate(file.message_type):
            collect(comments, (MESSAGES, n), found, found.name, messages, enums)
    write(services, messages, enums)


def kind(comments, path, descriptor, name, *file):
    return Kind(name, descriptor, text(comments, path), (path, *file), comments)


def collect(comments, path, message, name, messages, enums):
    """The message and what is declared inside it."""
    if message.options.map_entry:
        return
    messages[name] = kind(comments, path, message, name)
    for n, found in enumerate(message.nested_type):
        collect(comments, path + (NESTED_MESSAGES, n), found, f"{name}.{found.name}", messages, enums)
    for n, found in enumerate(message.enum_type):
        inner = f"{name}.{found.name}"
        enums[inner] = kind(comments, path + (NESTED_ENUMS, n), found, inner)


def write(services, messages, enums):
    print("# API reference")
    print()
    print(f"Package `{PACKAGE}`. Generated from the `.proto` files beside it, by `make_reference.py`; how to call, and what errors mean: [README](README.md).")
    told = set()
    headings = [anchor(name) for s in services for name in (s.name, *(m.name for m in s.descriptor.method))] + [anchor(name) for name in (*messages, *enums)]
    if len(set(headings)) < len(headings):
        sys.exit("Two of its names would be one link.")
    for service in services:
        print(f"\n- [{service.name}](#{anchor(service.name)}): " + ", ".join(f"[{m.name}](#{anchor(m.name)})" for m in service.descriptor.method), end="")
    print("\n- [Messages](#messages)\n- [Enums](#enums)")
    for service in services:
        (path, file) = service.path
        print(f"\n## {service.name}\n\n{service.comment}\n\nIn [{file}]({file}).")
        for n, method in enumerate(service.descriptor.method):
            request, response = short(method.input_type), short(method.output_type)
            print(f"\n### {method.name}\n\n{text(service.comments, path + (METHODS, n))}")
            print(f"\n`{method.name}({stream(method.client_streaming)}{request}) returns ({stream(method.server_streaming)}{response})`")
            for name in (request, response):
                told.add(name)
                # Most say only which RPC they belong to.
                said = messages[name].comment
                print(f"\n**{name}**" + (f": {said}" if said and f"{service.name}.{method.name}." not in said else ""))
                fields(messages[name])
    print("\n## Messages\n\nWhat requests and answers are made of.")
    for name in sorted(messages.keys() - told):
        print(f"\n### {name}\n\n{messages[name].comment}")
        fields(messages[name])
    print("\n## Enums")
    for name, enum in sorted(enums.items()):
        print(f"\n### {name}\n\n{enum.comment}\n\n| Value | Number | What |\n|---|---|---|")
        for n, value in enumerate(enum.descriptor.value):
            print(f"| `{value.name}` | {value.number} | {cell(retired(value), text(enum.comments, enum.path[0] + (VALUES, n)))} |")


def fields(message):
    if not message.descriptor.field:
        print("\nNo fields.")
        return
    print("\n| Field | Type | Number | What |\n|---|---|---|---|")
    for n, field in enumerate(message.descriptor.field):
        what = cell(retired(field), choice(message.descriptor, field), text(message.comments, message.path[0] + (FIELDS, n)))
        print(f"| `{field.name}` | {label(message.descriptor, field)}{type_of(field)} | {field.number} | {what} |")


def label(message, field):
    if field.proto3_optional:
        return "optional "
    return "repeated " if field.label == Field.LABEL_REPEATED else ""


def choice(message, field):
    if not field.HasField("oneof_index") or field.proto3_optional:
        return ""
    others = [f"`{other.name}`" for other in message.field if other.HasField("oneof_index") and other.oneof_index == field.oneof_index and other.name != field.name]
    return f"Instead of {' or '.join(others)}." if others else ""


def type_of(field):
    if field.type_name.startswith(f".{PACKAGE}."):
        name = short(field.type_name)
        return f"[{name}](#{anchor(name)})"
    return field.type_name.lstrip(".") or Field.Type.Name(field.type).removeprefix("TYPE_").lower()


def retired(found):
    return "Deprecated." if found.options.deprecated else ""


def stream(streaming):
    return "stream " if streaming else ""


def short(type_name):
    return type_name.removeprefix(f".{PACKAGE}.")


def anchor(heading):
    return heading.lower().replace(".", "")


def text(comments, path):
    """A comment as one paragraph each where it has several."""
    paragraphs = comments.get(path, "").strip().split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in paragraph.splitlines()) for paragraph in paragraphs).replace("<", "&lt;")


def cell(*parts):
    return " ".join(part for part in parts if part).replace("\n\n", " ").replace("|", "\\|")


if __name__ == "__main__":
    main()
