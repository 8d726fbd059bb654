#!/usr/bin/python3
"""Cuts what `xl save` wrote to a stream of the same shape with few pages, for a fixture.

usage: cut-xen-save.py IN OUT [PAGES a record, 3] [RECORDS of pages, 3]

Every record stays as Xen wrote it, except that of the records with pages the first ones keep their first pages and the
others go. PV streams list the frames of the guest's own page table; those of pages that went are left as they are.
"""
import struct
import sys

PAGE_DATA, END, LIBXC_CONTEXT = 1, 0, 1


def cut(data, pages, records):
    place = 32
    _, _, _, optional = struct.unpack_from("<4I", data, place)
    place += 16 + optional
    out = [data[:place + 16]]
    place += 16
    while True:
        kind, length = struct.unpack_from("<II", data, place)
        end = place + 8 + (length + 7 & ~7)
        out.append(data[place:end])
        place = end
        if kind == END:
            return b"".join(out)
        if kind == LIBXC_CONTEXT:
            place = cut_guest(data, place, pages, records, out)


def cut_guest(data, place, pages, records, out):
    out.append(data[place:place + 40])
    place += 40
    while True:
        kind, length = struct.unpack_from("<II", data, place)
        body = data[place + 8:place + 8 + length]
        end = place + 8 + (length + 7 & ~7)
        if kind != PAGE_DATA:
            out.append(data[place:end])
        elif records > 0:
            records -= 1
            count, = struct.unpack_from("<I", body)
            numbers = struct.unpack_from(f"<{count}Q", body, 8)[:pages]
            filled = sum(number >> 60 < 0xD for number in numbers)
            start = 8 + 8 * count
            short = struct.pack(f"<II{len(numbers)}Q", len(numbers), 0, *numbers)
            short += body[start:start + 4096 * filled]
            out.append(struct.pack("<II", kind, len(short)) + short + bytes(-len(short) % 8))
        place = end
        if kind == END:
            return place


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    numbers = [int(word) for word in sys.argv[3:5]]
    with open(sys.argv[2], "wb") as file:
        file.write(cut(data, *(numbers + [3, 3][len(numbers):])))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4, 5):
        sys.exit(__doc__)
    main()
