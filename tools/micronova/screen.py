"""Looks at the screen of a running QEMU: text memory or pixels, by its monitor."""
import json
import re
import socket

from . import ROOT

TEXT_BYTES = 80 * 25 * 2


class Monitor:
    def __init__(self, folder):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(folder / "qmp"))
        self.stream = self.socket.makefile("rw")
        self.stream.readline()  # greeting
        self.ask("qmp_capabilities")

    def ask(self, name, **arguments):
        self.stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            if "return" in answer or "error" in answer:
                return answer


def save(folder, path):
    """PATH.txt: the VGA text screen; anything else: the picture as PPM."""
    monitor = Monitor(folder)
    if path.suffix != ".txt":
        monitor.ask("screendump", filename=str(path.resolve()))
        return
    raw = folder / "text-memory"
    monitor.ask("pmemsave", val=0xb8000, size=TEXT_BYTES, filename=str(raw))
    cells = raw.read_bytes()[::2].decode("cp437")
    path.write_text("".join(cells[i:i + 80].replace("\0", " ").rstrip() + "\n" for i in range(0, len(cells), 80)))


def font():
    """The glyphs of arch/font.c: character -> 8 rows of 5 dots."""
    source = re.sub(r"//[^\n]*|/\*.*?\*/", "", (ROOT / "arch" / "font.c").read_text(), flags=re.S)
    rows = re.findall(r"\{\s*((?:0x[0-9a-fA-F]+\s*,\s*){4}0x[0-9a-fA-F]+)\s*,?\s*\}", source)
    glyphs = {}
    for code, row in enumerate(rows, 0x20):
        columns = [int(value, 16) for value in row.split(",")]
        glyphs[tuple(tuple(column >> y & 1 for column in columns) for y in range(8))] = chr(code)
    return glyphs


def picture(path):
    """A PPM file as rows of booleans: brighter than the background or not."""
    magic, width, height, rest = re.match(rb"(P6)\s+(\d+)\s+(\d+)\s+255\s(.*)", path.read_bytes(), re.S).groups()
    width, height = int(width), int(height)
    return [[sum(rest[(y * width + x) * 3:(y * width + x) * 3 + 3]) > 192 for x in range(width)]
            for y in range(height)]


def read(rows):
    """The text on a picture of the framebuffer console (arch/screen.c): the scale that shows most of it."""
    glyphs = font()
    return max((_cells(rows, glyphs, scale) for scale in (1, 2)), key=lambda text: sum(c not in " \n?" for c in text))


def _cells(rows, glyphs, scale):
    width, height = 8 * scale, 16 * scale
    text = ""
    for top in range(0, len(rows) - height + 1, height):
        for left in range(0, len(rows[0]) - width + 1, width):
            dots = tuple(tuple(int(rows[top + 2 * y * scale][left + x * scale]) for x in range(5)) for y in range(8))
            text += glyphs.get(dots, "?")
        text += "\n"
    return text
