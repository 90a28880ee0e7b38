"""Fetches the vocabulary-only GGUF files of four families, which the tokenizer tests read, into the cache directory.

They ship inside the source distribution of llama-cpp-python. Python standard library, pip and fetch_model.py only. A
file appears under its name only when its SHA-256 is right; an interrupted download is continued.
"""

import dataclasses
import os
import pathlib
import shutil
import sys
import tarfile

import fetch_model

FOLDER = "vendor/llama.cpp/models/"
SHA256 = {
    "ggml-vocab-gpt-2.gguf": "cedc56ca6e2e89f63e781696d1fd76b4b1d49e6720dee86463e915f6e90016ac",
    "ggml-vocab-llama-bpe.gguf": "97272e430d53bc7688f52d5e0ad8ea8f163ede9f1bbd1694feaa504797d5d96e",
    "ggml-vocab-llama-spm.gguf": "16c3724582d59aa8bf84711894e833f916ee46a31d80e21312759c48bf8d0e69",
    "ggml-vocab-qwen2.gguf": "44c2f46b715f585c6ab513970e8a006bfa5badd6108560054921cf598d154d8c",
}


@dataclasses.dataclass(frozen=True)
class Package:
    package: str = "llama-cpp-python"
    version: str = "0.3.36"


def is_good(path):
    return path.is_file() and fetch_model.sha256_of(path) == SHA256[path.name]


def unpack(archive, folder):
    """Copies the wanted files out of the archive; each takes its name only when it is right."""
    with tarfile.open(archive) as source:
        for member in source:
            name = member.name.rsplit("/", 1)[-1]
            if name not in SHA256 or not member.name.endswith(FOLDER + name) or not member.isfile():
                continue
            part = folder / (name + ".part")
            with source.extractfile(member) as content, open(part, "wb") as out:
                shutil.copyfileobj(content, out)
            if fetch_model.sha256_of(part) != SHA256[name]:
                raise fetch_model.FetchError(f"{name} in {archive.name} is not the expected file")
            os.replace(part, folder / name)


def fetch(directory):
    folder = directory / "vocabularies"
    folder.mkdir(parents=True, exist_ok=True)
    if all(is_good(folder / name) for name in SHA256):
        return folder
    fetch_model.ensure_pip(directory)
    package = Package()
    archive = directory / f"{package.package}-{package.version}.tar.gz"
    if not archive.exists():
        fetch_model.say(f"fetching four vocabularies (77 MB, package {package.package} {package.version})")
        fetch_model.download_resumable(package, archive)
    try:
        unpack(archive, folder)
    except (tarfile.TarError, EOFError) as error:
        raise fetch_model.FetchError(f"the downloaded archive is damaged ({error}); run this again") from error
    finally:
        archive.unlink()
    missing = [name for name in SHA256 if not (folder / name).is_file()]
    if missing:
        raise fetch_model.FetchError(f"{archive.name} does not hold {', '.join(missing)}")
    return folder


def main():
    directory = pathlib.Path(fetch_model.cache_dir())
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with fetch_model.only_one(directory):
            print(fetch(directory))
    except (fetch_model.FetchError, OSError) as error:
        fetch_model.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
