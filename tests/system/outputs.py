"""What jobs of the tests wrote, and files that they read."""
import os


def batches_in_parts(folder, prefix):
    """{batch ms: [[line of a part]]} of all whole batches of an output."""
    found = {}
    for name in os.listdir(folder):
        whole = os.path.join(folder, name, "_SUCCESS")
        if not name.startswith(prefix + "-") or not os.path.exists(whole):
            continue
        parts = []
        for part in sorted(os.listdir(os.path.join(folder, name))):
            if part.startswith("part-"):
                with open(os.path.join(folder, name, part)) as f:
                    parts.append(f.read().splitlines())
        found[int(name.rsplit("-", 1)[1])] = parts
    return found


def batches(folder, prefix):
    """{batch ms: [lines]} of all whole batches of an output."""
    return {ms: [line for part in parts for line in part]
            for ms, parts in batches_in_parts(folder, prefix).items()}


def latest(folder, prefix):
    """The lines of the newest batch; none before the first."""
    found = batches(folder, prefix)
    return found[max(found)] if found else []


def drop_file(folder, name, lines):
    """Puts a file into a watched folder, whole at once."""
    aside = os.path.join(folder, "." + name)
    with open(aside, "w") as f:
        f.writelines(line + "\n" for line in lines)
    os.rename(aside, os.path.join(folder, name))
