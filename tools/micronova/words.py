"""Command lines into words, by the rules of kernel/words.c, and words into grub.cfg."""
from . import Problem

QUOTABLE = "\\'\""


def split(line):
    """Quotes may stand anywhere in a word; a backslash before \\ ' or " is dropped, any other is kept."""
    words, word, quote, at = [], None, "", 0
    while at < len(line):
        c = line[at]
        if c == "\\" and line[at + 1:at + 2] and line[at + 1] in QUOTABLE:
            at += 1
            word = (word or "") + line[at]
        elif quote and c == quote:
            quote = ""
        elif not quote and c in "'\"":
            quote, word = c, word or ""
        elif not quote and c.isspace():
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + c
        at += 1
    if quote:
        raise Problem(f"a {quote} is not closed in: {line}")
    return words if word is None else words + [word]


def grub(word):
    """A word as grub.cfg has to spell it, so that GRUB's own quoting hands it over whole."""
    if any(ord(c) < 32 for c in word):
        raise Problem(f"control characters cannot stand on a GRUB line: {word!r}")
    return "'" + word.replace("'", "'\\''") + "'"


def grub_line(words):
    return "".join(" " + grub(w) for w in words)
