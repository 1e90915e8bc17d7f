#!/usr/bin/env python3
"""Take the BTF of vmlinux out of a kernel image: extract-btf.py IMAGE OUT

IMAGE may be a bzImage (x86), a flat image (arm64, riscv64), an ELF file
(ppc64, or an uncompressed vmlinux) or an image with a compressed vmlinux
somewhere inside (s390x). `lz4` and `zstd` must be on the PATH.
"""

import gzip
import lzma
import struct
import subprocess
import sys

BTF_MAGIC = 0xEB9F
# magic, version, flags, hdr_len, type_off, type_len, str_off, str_len (Documentation/bpf/btf.rst)
BTF_HEADER = "HBBIIIII"
# No kernel's own BTF is smaller; what is smaller is a module's, or bytes that look like a header by chance.
SMALLEST_BTF = 500_000

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def through(command, data):
    """What a decompressor makes of `data`. Its exit code is no guide: after the stream comes the rest of the image."""
    return subprocess.run(
        command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    ).stdout


def xz(data):
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data)
    except lzma.LZMAError:
        return b""


DECOMPRESSORS = {
    b"\x02\x21\x4c\x18": lambda data: through(["lz4", "-dc"], data),
    ZSTD_MAGIC: lambda data: through(["zstd", "-dcq"], data),
    b"\x1f\x8b": gzip.decompress,
    b"\xfd7zXZ\x00": xz,
}


def bzimage_vmlinux(image):
    """The decompressed payload of an x86 boot image, or None (Documentation/arch/x86/boot.rst)."""
    if image[0x202:0x206] != b"HdrS":
        return None
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    # The last four bytes are the size of the decompressed kernel, appended for the kernel's own decompressor.
    payload = image[start : start + length - 4]
    for magic, decompress in DECOMPRESSORS.items():
        if payload.startswith(magic):
            return decompress(payload)
    return None


def elf_section(image, wanted):
    """The contents of the named section of a 64-bit ELF file, or None."""
    if image[:5] != b"\x7fELF\x02":
        return None
    order = "<" if image[5] == 1 else ">"
    (table,) = struct.unpack_from(order + "Q", image, 0x28)
    size, count, names = struct.unpack_from(order + "HHH", image, 0x3A)

    def section(index):
        return struct.unpack_from(order + "IIQQQQ", image, table + index * size)

    names_at = section(names)[4]
    for index in range(count):
        name, _, _, _, offset, length = section(index)
        start = names_at + name
        if image[start : image.index(b"\0", start)] == wanted:
            return image[offset : offset + length]
    return None


def btf_at(image, at, order):
    """The BTF whose header begins at `at`, or None if these bytes are none."""
    if at + struct.calcsize(order + BTF_HEADER) > len(image):
        return None
    _, version, flags, header, type_off, type_len, str_off, str_len = struct.unpack_from(
        order + BTF_HEADER, image, at
    )
    if (version, flags, header, type_off) != (1, 0, 24, 0) or str_off < type_len:
        return None
    size = header + str_off + str_len
    strings = image[at + header + str_off : at + size]
    if size < SMALLEST_BTF or len(strings) != str_len or strings[0] != 0 or strings[-1] != 0:
        return None
    return image[at : at + size]


def find_btf(image):
    """The largest BTF that lies uncompressed anywhere in `image`, or None."""
    best = None
    for order in "<>":
        magic = struct.pack(order + "HBBI", BTF_MAGIC, 1, 0, 24)
        at = image.find(magic)
        while at >= 0:
            found = btf_at(image, at, order)
            if found and (best is None or len(found) > len(best)):
                best = found
            at = image.find(magic, at + 1)
    return best


def find_in_zstd_streams(image):
    """The BTF of the first zstd stream inside `image` that holds one, or None."""
    at = image.find(ZSTD_MAGIC)
    while at >= 0:
        found = find_btf(DECOMPRESSORS[ZSTD_MAGIC](image[at:]))
        if found:
            return found
        at = image.find(ZSTD_MAGIC, at + 1)
    return None


def extract(image):
    """The BTF of the kernel in `image`, or None."""
    vmlinux = bzimage_vmlinux(image) or image
    return elf_section(vmlinux, b".BTF") or find_btf(vmlinux) or find_in_zstd_streams(vmlinux)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: extract-btf.py IMAGE OUT")
    path, out = sys.argv[1:]
    with open(path, "rb") as file:
        btf = extract(file.read())
    if btf is None:
        sys.exit(f"extract-btf.py: {path}: no BTF in this image")
    with open(out, "wb") as file:
        file.write(btf)


if __name__ == "__main__":
    main()
