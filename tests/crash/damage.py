"""What befalls files between two lives of a job, or under one."""
import os
import shutil
import struct


def files_below(folder):
    for path, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(path, name)


def sizes(folder):
    """Of all files, by inode: what a disk had long enough to write."""
    found = {}
    for path in files_below(folder):
        info = os.stat(path)
        found[info.st_ino] = info.st_size
    return found


def power_cut(folder, before, synced_file, rng):
    """Cuts each file somewhere behind what was synced: what a disk forgets that loses its power.

    `before`: sizes() at the beginning of the life; `synced_file` is written by faulty_files.cc.
    Returns how many files were cut.
    """
    durable = dict(before)
    if os.path.exists(synced_file):
        with open(synced_file, "rb") as f:
            for inode, size in struct.iter_unpack("=QQ", f.read()):
                durable[inode] = max(durable.get(inode, 0), size)
    cut = 0
    for path in list(files_below(folder)):
        info = os.stat(path)
        kept = durable.get(info.st_ino, 0)
        if info.st_size > kept:
            os.truncate(path, rng.choice((kept, rng.randint(kept, info.st_size - 1))))
            cut += 1
    return cut


def forget_entries(folder, roots, rng):
    """Undoes the latest of the changes of names whose directory was not synced since: as many as
    are drawn, last first. `folder`: FAULTY_ENTRIES of faulty_files.cc. Returns how many."""
    unsynced = []
    if not os.path.exists(os.path.join(folder, "list")):
        return 0
    with open(os.path.join(folder, "list"), encoding="utf-8") as f:
        for line in f:
            words = line.rstrip("\n").split("\t")
            if len(words) != 4:
                continue  # its writer was killed within it
            what, path, to, kept = words
            if not path.startswith(roots):
                continue
            if what == "sync":
                unsynced = [change for change in unsynced
                            if os.path.dirname(change[2] or change[1]) != path]
            else:
                unsynced.append((what, path, to, kept))
    undone = unsynced[rng.randint(0, len(unsynced)):]
    for change in reversed(undone):
        undo(*change)
    return len(undone)


def undo(what, path, to, kept):
    if what == "rename" and os.path.exists(to):
        os.rename(to, path)
    elif what == "create" and os.path.isdir(path):
        shutil.rmtree(path)
    elif what == "create" and os.path.exists(path):
        os.remove(path)
    if kept:
        os.link(kept, to or path)


# What is damaged: (name of the kind, does the file belong to it).
def is_wal(path):
    return "/log/" in path and path.endswith(".log")


def is_log(path):
    return "/log/" in path and not path.endswith("/LOCK")


def is_witness(path):
    return path.endswith("/log.witness")


def is_manifest(path):
    return "/log/" not in path and "manifest" in path


def is_received(path):
    return "/received/" in path


def is_object(path):
    """Parts of state, and the marks of job and store."""
    others = is_log(path) or is_manifest(path) or is_received(path) or "/log." in path
    return not others


KINDS = {"wal": is_wal, "log": is_log, "witness": is_witness, "manifest": is_manifest,
         "received": is_received, "object": is_object}
WAYS = ("flip", "missing", "empty", "cut")


def spoil(checkpoint, rng):
    """Damages one file. Returns (what was done, path), or None when there is no such file."""
    way = rng.choice(WAYS)
    there = sorted(path for path in files_below(checkpoint) if os.path.getsize(path) > 0)
    kinds = [kind for kind, is_of in KINDS.items() if any(map(is_of, there))]
    if not kinds:
        return None
    kind = rng.choice(kinds)
    files = list(filter(KINDS[kind], there))
    path = files[-1] if rng.random() < 0.5 else rng.choice(files)
    size = os.path.getsize(path)
    if way == "flip":
        with open(path, "r+b") as f:
            at = rng.randrange(size)
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ (1 << rng.randrange(8))]))
    elif way == "missing":
        os.remove(path)
    elif way == "empty":
        os.truncate(path, 0)
    else:
        os.truncate(path, rng.randrange(size))
    return f"{kind} {way}", path
