"""What the one-shots run: weights into a volume and checked, files and owners into place."""

from __future__ import annotations

from components.kubernetes.manifests.engines.ollama import SAY, UNLESS_IN_STORE

OLLAMA_FROM_FILE = (
    SAY
    + r"""say "checking $PADDOCK_WEIGHTS"
echo "$PADDOCK_SHA256  $PADDOCK_WEIGHTS" | sha256sum --check --status ||
  { say "$PADDOCK_WEIGHTS is not the file that the config names: another SHA-256"; exit 1; }
"""
    + UNLESS_IN_STORE
    + r"""printf '%s\n' "$PADDOCK_MODELFILE" >"$HOME/Modelfile"
ollama create "$PADDOCK_MODEL" -f "$HOME/Modelfile" >"$HOME/create.log" 2>&1 ||
  { say "the file was not taken into the store:"; cat "$HOME/create.log"; exit 1; }
ollama show "$PADDOCK_MODEL" >/dev/null || { say "$PADDOCK_MODEL is not whole"; exit 1; }
say "$PADDOCK_MODEL is in the store, checked"
"""
)
"""Takes a GGUF file of the host into Ollama's store."""

CHECK_FILE = """\
import hashlib, os, sys
path, wanted = os.environ["PADDOCK_WEIGHTS"], os.environ["PADDOCK_SHA256"]
with open(path, "rb") as file:
    found = hashlib.file_digest(file, "sha256").hexdigest()
if found != wanted:
    sys.exit(f"paddock: {path} is not the file that the config names: its SHA-256 is {found}")
print(f"paddock: {path} is the file that the config names", flush=True)
"""
"""Checks a GGUF file of the host."""

# The hub tells the SHA-256 of a file in the answer that leads to it. What was begun is gone on with; the last step
# gives the file its name, so that a file of that name is whole and checked, and nothing is asked of the hub again.
FETCH_GGUF = """\
import hashlib, os, sys, time, urllib.error, urllib.request
repository, name, target = (os.environ[f"PADDOCK_{key}"] for key in ("REPOSITORY", "FILE", "WEIGHTS"))
hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
if os.path.exists(target):
    sys.exit(print(f"paddock: {name} is in the store already", flush=True))
address, part = f"{hub}/{repository}/resolve/main/{name}", target + ".part"
token_file = os.environ.get("HF_TOKEN_PATH")
token = open(token_file).read().strip() if token_file else None

class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None

def ask(address, method="GET", begin=0, follow=True):
    request = urllib.request.Request(address, method=method)
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    if begin:
        request.add_header("Range", f"bytes={begin}-")
    opener = urllib.request.build_opener() if follow else urllib.request.build_opener(Stay)
    return opener.open(request, timeout=60)

try:
    headers = ask(address, "HEAD", follow=False).headers
except urllib.error.HTTPError as error:
    if error.code not in (301, 302, 303, 307, 308):
        sys.exit(f"paddock: {address} answered {error.code} {error.reason}")
    headers = error.headers
except OSError as error:
    sys.exit(f"paddock: {hub} cannot be reached: {error}")
wanted, size = headers.get("X-Linked-Etag", "").strip('"'), int(headers.get("X-Linked-Size") or 0)
if len(wanted) != 64:
    sys.exit(f"paddock: {hub} tells no SHA-256 of {repository}/{name}, so that it cannot be checked")
print(f"paddock: fetching {repository}/{name}, {size / 1e9:.1f} GB", flush=True)
said = time.monotonic()
for attempt in range(6):
    try:
        begin = os.path.getsize(part) if os.path.exists(part) else 0
        if begin < size:
            with ask(address, begin=begin) as answer, open(part, "ab" if answer.status == 206 else "wb") as file:
                while chunk := answer.read(1 << 20):
                    file.write(chunk)
                    if time.monotonic() - said > 10:
                        said = time.monotonic()
                        print(f"paddock: {file.tell() / 1e9:.1f} of {size / 1e9:.1f} GB", flush=True)
        if os.path.getsize(part) >= size:
            break
    except OSError as error:
        print(f"paddock: {error}; going on where it stopped", flush=True)
        time.sleep(2 ** attempt)
else:
    sys.exit(f"paddock: {repository}/{name} did not come whole")
with open(part, "rb") as file:
    found = hashlib.file_digest(file, "sha256").hexdigest()
if found != wanted:
    os.unlink(part)
    sys.exit(f"paddock: {repository}/{name} came damaged: its SHA-256 is {found}, not {wanted}")
os.replace(part, target)
print(f"paddock: {name} is in the store, checked", flush=True)
"""
"""Fetches a GGUF file from Hugging Face."""

# A file gets its name when it is whole, so that nobody reads half of one. What stood there before and is not named
# any more goes: a key that was taken out of the config opens nothing.
PLACE = """\
import json, os, sys
work = json.loads(sys.argv[1])
user = work["user"]
for folder in work["own"]:
    os.chown(folder, user, user)
for folder, files in work["folders"].items():
    for name, source in files.items():
        with open(source, "rb") as file:
            content = file.read()
        part = f"{folder}/.{name}.part"
        if os.path.exists(part):
            os.unlink(part)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchown(handle, user, user)
        os.replace(part, f"{folder}/{name}")
    for name in set(os.listdir(folder)) - set(files):
        os.unlink(f"{folder}/{name}")
print("paddock: everything is in its place", flush=True)
"""
"""Gives volumes to the fleet's user, and puts files into them."""
