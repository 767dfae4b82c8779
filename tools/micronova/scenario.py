"""Scenarios: what to boot, as iso/scenarios/NAME.scenario says it.

    # comment
    cpus N                           (processors that it takes, unless somebody says otherwise; mostly 1)
    mem N                            (memory in MB, likewise; mostly 512)
    cmdline TEXT                     (kernel options; several lines add up)
    module FILE NAME key=value ...   (a machine, or data for one)
    include SCENARIO                 (everything in it but mem)
    on EMULATOR NAME TEXT            (there, TEXT is added to the command line of machine NAME, which stands further up)

FILE is looked for in build/guests; debian:FILE comes from Debian's packages; a FILE with a slash is a path,
relative to the repository in a scenario and to the working directory on the command line.
"""
import dataclasses
import difflib
import pathlib

from . import BUILD, ROOT, Problem, debian, words

FOLDER = ROOT / "iso" / "scenarios"


@dataclasses.dataclass
class Module:
    path: pathlib.Path
    words: list  # name and key=value, without quotes


@dataclasses.dataclass
class Scenario:
    name: str
    cmdline: list = dataclasses.field(default_factory=list)
    modules: list = dataclasses.field(default_factory=list)
    cpus: int = 1
    mem: int = 512


def names():
    return sorted(p.stem for p in FOLDER.glob("*.scenario"))


def find(file, folder):
    if file.startswith("debian:"):
        return debian.find(file[len("debian:"):])
    path = folder / file if "/" in file else BUILD / "guests" / file
    if path.is_file():
        return path
    if "/" in file:
        raise Problem(f"no file {path}: give the path of an existing module")
    built = sorted(p.name for p in (BUILD / "guests").glob("*") if p.is_file() and p.suffix != ".unstripped")
    close = difflib.get_close_matches(file, built, 1, 0.7)
    raise Problem(f"no guest {file} in build/guests: " + (f"did you mean {close[0]}?" if close else
                  "run `make guests`, or give a path with a slash in it"))


def module(text, folder):
    parts = words.split(text)
    if not parts:
        raise Problem('an empty module: write it as "FILE NAME key=value ..."')
    return Module(find(parts[0], folder), parts[1:])


def add_text(modules, name, text):
    """Adds to a machine's own command line."""
    here = [m for m in modules if m.words[:1] == [name]]
    if not here:
        raise Problem(f"no machine {name} further up")
    words_, at = here[-1].words, [i for i, word in enumerate(here[-1].words) if word.startswith("cmdline=")]
    if at:
        words_[at[0]] += f" {text}"
    else:
        words_.append(f"cmdline={text}")


def keep(what, names_):
    """Leaves a scenario those machines alone."""
    have = [m.words[0] for m in what.modules if m.words]
    for name in names_:
        if name not in have:
            raise Problem(f"no machine {name!r} in scenario {what.name}: there are {', '.join(have)}")
    what.modules = [m for m in what.modules if m.words[:1] and m.words[0] in names_]


def load(name, on=None):
    """`on`: where it will run; None: nobody knows."""
    path = FOLDER / f"{name}.scenario"
    if not path.is_file():
        raise Problem(f"no scenario {name!r}: there are {', '.join(names()) or 'none'} (iso/scenarios)")
    result = Scenario(name)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        keyword, _, rest = line.strip().partition(" ")
        try:
            if keyword == "cmdline":
                result.cmdline += words.split(rest)
            elif keyword == "cpus" and rest.strip().isdigit() and int(rest):
                result.cpus = max(result.cpus, int(rest))
            elif keyword == "mem" and rest.strip().isdigit() and int(rest):
                result.mem = int(rest)
            elif keyword == "module":
                result.modules.append(module(rest, ROOT))
            elif keyword == "include" and rest != name:
                other = load(rest.strip(), on)
                result.cmdline += other.cmdline
                result.modules += other.modules
                result.cpus = max(result.cpus, other.cpus)
            elif keyword == "on" and len(rest.split(None, 2)) == 3:
                emulator, machine, text = rest.split(None, 2)
                if emulator == on:
                    add_text(result.modules, machine, text)
            elif keyword and not keyword.startswith("#"):
                raise Problem(f"{line.strip()!r} is neither cpus, mem, cmdline, module, include nor on")
        except Problem as problem:
            raise Problem(f"iso/scenarios/{name}.scenario, line {number}: {problem}") from None
    return result
