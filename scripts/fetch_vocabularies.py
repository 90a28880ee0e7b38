"""Fetches vocabulary-only GGUF files of six tokenizers, which the tokenizer tests read, into the cache directory.

Four ship inside the source distribution of llama-cpp-python. Mistral's own two are SentencePiece models inside
mistral-common, written anew as GGUF by spm_to_gguf.py. Python standard library, pip and fetch_model.py only. A file appears
under its name only when its SHA-256 is right; an interrupted download is continued.
"""

import dataclasses
import os
import pathlib
import sys
import tarfile
import zipfile

import fetch_model
import spm_to_gguf

SHA256 = {
    "ggml-vocab-gpt-2.gguf": "cedc56ca6e2e89f63e781696d1fd76b4b1d49e6720dee86463e915f6e90016ac",
    "ggml-vocab-llama-bpe.gguf": "97272e430d53bc7688f52d5e0ad8ea8f163ede9f1bbd1694feaa504797d5d96e",
    "ggml-vocab-llama-spm.gguf": "16c3724582d59aa8bf84711894e833f916ee46a31d80e21312759c48bf8d0e69",
    "ggml-vocab-qwen2.gguf": "44c2f46b715f585c6ab513970e8a006bfa5badd6108560054921cf598d154d8c",
    "mistral-v1.gguf": "3384b2b84a086b2b45494266a67cfea3f58ac6ad2d5f6c711a9065701595f5b8",
    "mistral-v3.gguf": "0b22397b156cd223764ec79baef30715736f0fbb92a5a8a5c25e805836587889",
}


@dataclasses.dataclass(frozen=True)
class Package:
    package: str
    version: str
    archive: str  # "tar.gz" or "whl"
    size_mb: int
    members: dict  # how a member's path ends -> the file's name
    convert: object = bytes


PACKAGES = (
    Package("llama-cpp-python", "0.3.36", "tar.gz", 77,
            {f"vendor/llama.cpp/models/{name}": name for name in SHA256 if name.startswith("ggml")}),
    Package("mistral-common", "1.13.1", "whl", 7,
            {"mistral_common/data/tokenizer.model.v1": "mistral-v1.gguf",
             "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3": "mistral-v3.gguf"},
            spm_to_gguf.to_gguf),
)


def is_good(path):
    return path.is_file() and fetch_model.sha256_of(path) == SHA256[path.name]


def read_members(archive):
    """(path, function that reads it) of each file in a tar or zip archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as source:
            for name in source.namelist():
                yield name, lambda name=name: source.read(name)
    else:
        with tarfile.open(archive) as source:
            for member in source:
                if member.isfile():
                    yield member.name, lambda member=member: source.extractfile(member).read()


def unpack(package, archive, folder):
    """Takes the wanted files out of the archive; each gets its name only when it is right."""
    for path, read in read_members(archive):
        name = next((name for end, name in package.members.items() if path.endswith(end)), None)
        if name is None:
            continue
        part = folder / (name + ".part")
        part.write_bytes(package.convert(read()))
        if fetch_model.sha256_of(part) != SHA256[name]:
            raise fetch_model.FetchError(f"{name} out of {archive.name} is not the expected file")
        os.replace(part, folder / name)


def fetch_package(package, directory, folder):
    archive = directory / f"{package.package}-{package.version}.{package.archive}"
    if not archive.exists():
        fetch_model.say(f"fetching {len(package.members)} vocabularies ({package.size_mb} MB, package {package.package} "
                        f"{package.version})")
        fetch_model.download_resumable(package, archive)
    try:
        unpack(package, archive, folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise fetch_model.FetchError(f"the downloaded archive is damaged ({error}); run this again") from error
    finally:
        archive.unlink()
    missing = [name for name in package.members.values() if not (folder / name).is_file()]
    if missing:
        raise fetch_model.FetchError(f"{archive.name} does not hold {', '.join(missing)}")


def fetch(directory):
    folder = directory / "vocabularies"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [package for package in PACKAGES if not all(is_good(folder / name) for name in package.members.values())]
    if wanted:
        fetch_model.ensure_pip(directory)
    for package in wanted:
        fetch_package(package, directory, folder)
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
