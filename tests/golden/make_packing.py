"""Makes packing.json from the words of docs/format.md, bit by bit and without the package: python make_packing.py."""

import json
import random
from pathlib import Path


def pack_row(codes: list[int], bits: int) -> str:
    row = bytearray(-(-len(codes) * bits // 8))
    for j, code in enumerate(codes):
        for bit in range(bits):
            position = j * bits + bit
            row[position // 8] |= ((code >> bit) & 1) << (position % 8)
    return row.hex()


def pack_dense_row(codes: list[int]) -> str:
    row = [0] * -(-len(codes) // 5)
    for j, code in enumerate(codes):
        row[j // 5] += code * 3 ** (j % 5)
    return bytes(row).hex()


def main() -> None:
    source = random.Random(20240501)
    cases = []
    for bits in (1, 2, 4, 8):
        for columns in (1, 7, 16):
            codes = [[source.randrange(1 << bits) for _ in range(columns)] for _ in range(2)]
            cases.append({"bits": bits, "codes": codes, "packed": [pack_row(row, bits) for row in codes]})
    for columns in (1, 4, 5, 6, 17):
        codes = [[source.randrange(3) for _ in range(columns)] for _ in range(2)]
        cases.append({"bits": "dense", "codes": codes, "packed": [pack_dense_row(row) for row in codes]})
    Path(__file__).with_name("packing.json").write_text(json.dumps(cases, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
