"""A folder on a disk that is slow, or hangs, on command. Needs root and /dev/fuse.

    with SlowDisk(folder) as disk:
        disk.slow(call=0.05, sync=2.0)   # seconds that each call and each sync takes from now on
        disk.hang()                      # nothing is answered any more; who waits cannot be killed
        disk.answer()                    # what waits is done, in any order, and all is quick again
        disk.fail_listings(True)         # of a folder all but its first entries is an error

It is a file system of the kernel's FUSE whose files are in another folder; another process, this
very file, answers the kernel, so that who uses the folder hangs as on a disk, in the kernel. Who
looks into that other folder is answered at once at all times.
"""
import ctypes
import errno
import json
import os
import resource
import stat
import struct
import subprocess
import sys
import threading

HEADER = struct.Struct("<IIQQIIIHH")  # length, operation, unique, node, uid, gid, pid, -, -
ATTRIBUTES = struct.Struct("<6Q10I")
REQUEST_MAX = (128 << 10) + 4096
KNOWN_FOR_S = 1  # the kernel may keep names and attributes so long
NO_ANSWER = object()


class SlowDisk:
    """The mounted folder; gone with the object. Its files are in `kept`, or else beside it."""

    def __init__(self, folder, kept=None):
        self.folder = folder
        self.kept = kept or folder + ".kept"
        for path in (folder, self.kept):
            os.makedirs(path)
        self.server = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), folder, self.kept], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.answer()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.server.stdin.close()
        self.server.wait()
        return False

    def slow(self, call, sync):
        self.tell({"call": call, "sync": sync, "hung": False})

    def hang(self):
        self.tell({"call": 0, "sync": 0, "hung": True})

    def answer(self):
        self.slow(0, 0)

    def waiting(self):
        """How many calls hang now."""
        return self.tell({})["waiting"]

    def fail_listings(self, fail):
        self.tell({"listings_fail": fail})

    def failed_listings(self):
        """How often one has failed, ever."""
        return self.tell({})["failed_listings"]

    def tell(self, pace):
        self.server.stdin.write(json.dumps(pace) + "\n")
        self.server.stdin.flush()
        line = self.server.stdout.readline()
        if not line:
            raise RuntimeError(f"the file system at {self.folder} has ended")
        return json.loads(line)


class Pace:
    """What each call has to wait for. Thread-safe."""

    def __init__(self):
        self.changed = threading.Condition()
        self.call = self.sync = 0.0
        self.hung = self.listings_fail = False
        self.waiting = self.failed_listings = 0

    def set(self, pace):
        with self.changed:
            self.call = pace.get("call", self.call)
            self.sync = pace.get("sync", self.sync)
            self.hung = pace.get("hung", self.hung)
            self.listings_fail = pace.get("listings_fail", self.listings_fail)
            self.changed.notify_all()
            return {"waiting": self.waiting, "failed_listings": self.failed_listings}

    def check_listing(self, first):
        with self.changed:
            if self.listings_fail and first > 0:
                self.failed_listings += 1
                raise OSError(errno.EIO, "the rest of the folder")

    def take(self, is_sync):
        """Returns when the call is to be carried out."""
        with self.changed:
            seconds = self.sync if is_sync else self.call
            self.changed.wait_for(lambda: self.hung or not (self.call or self.sync), seconds)
            self.waiting += 1
            self.changed.wait_for(lambda: not self.hung)
            self.waiting -= 1


class Nodes:
    """Files and folders that the kernel knows, by number, each held open. Thread-safe."""

    def __init__(self, root):
        self.lock = threading.Lock()
        self.known = {1: [os.open(root, os.O_PATH), 1, None]}  # descriptor, references, identity
        self.numbers = {}
        self.last = 1

    def descriptor(self, node):
        with self.lock:
            return self.known[node][0]

    def path(self, node):
        return f"/proc/self/fd/{self.descriptor(node)}"

    def enter(self, parent, name):
        """One more reference to the file of that name: its number and attributes."""
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self.descriptor(parent))
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        with self.lock:
            number = self.numbers.get(identity)
            if number is None:
                self.last = number = self.last + 1
                self.known[number] = [fd, 1, identity]
                self.numbers[identity] = number
                return number, status
            self.known[number][1] += 1
        os.close(fd)
        return number, status

    def forget(self, node, references):
        with self.lock:
            entry = self.known[node]
            entry[1] -= references
            if entry[1] > 0 or node == 1:
                return
            del self.known[node], self.numbers[entry[2]]
        os.close(entry[0])


def packed(status):
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return ATTRIBUTES.pack(
        status.st_ino, status.st_size, status.st_blocks, *(t // 10**9 for t in times),
        *(t % 10**9 for t in times), status.st_mode, status.st_nlink, status.st_uid, status.st_gid,
        status.st_rdev, status.st_blksize, 0)


def names(body, count):
    return body.split(b"\0")[:count]


class FileSystem:
    """Each operation of the kernel's FUSE that is answered, by name: (node, body) to bytes."""

    operations = {
        1: "lookup", 2: "forget", 3: "getattr", 4: "setattr", 8: "mknod", 9: "mkdir", 10: "unlink",
        11: "rmdir", 12: "rename", 13: "link", 14: "open", 15: "read", 16: "write", 17: "statfs",
        18: "release", 20: "fsync", 26: "init", 27: "opendir", 28: "readdir", 29: "releasedir",
        30: "fsyncdir", 35: "create", 36: "interrupt", 42: "forget_several", 43: "fallocate",
        45: "rename2"}
    never_waits = ("forget", "forget_several", "interrupt", "init", "release", "releasedir")

    def __init__(self, root, pace):
        self.nodes, self.pace = Nodes(root), pace
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.listings = {}

    def init(self, node, body):
        major, _, readahead, _ = struct.unpack_from("<4I", body)
        wanted = 1 << 0 | 1 << 5 | 1 << 18  # reads, and look-ups, beside each other; large writes
        return struct.pack("<4I2H2I2HI7I", major, 31, readahead, wanted, 64, 48, 128 << 10, 1, 0, 0,
                           *[0] * 8)

    def entry(self, parent, name):
        number, status = self.nodes.enter(parent, name)
        return struct.pack("<4Q2I", number, 0, KNOWN_FOR_S, KNOWN_FOR_S, 0, 0) + packed(status)

    def lookup(self, node, body):
        return self.entry(node, names(body, 1)[0])

    def forget(self, node, body):
        self.nodes.forget(node, struct.unpack("<Q", body)[0])
        return NO_ANSWER

    def forget_several(self, node, body):
        for number, references in struct.iter_unpack("<QQ", body[8:]):
            self.nodes.forget(number, references)
        return NO_ANSWER

    def interrupt(self, node, body):
        return NO_ANSWER  # a disk knows no signals

    def getattr(self, node, body):
        status = os.fstat(self.nodes.descriptor(node))
        return struct.pack("<Q2I", KNOWN_FOR_S, 0, 0) + packed(status)

    def setattr(self, node, body):
        valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid, _ = (
            struct.unpack("<2I6Q8I", body))
        path = self.nodes.path(node)
        if valid & 1 << 0:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & (1 << 1 | 1 << 2):
            os.chown(path, uid if valid & 1 << 1 else -1, gid if valid & 1 << 2 else -1)
        if valid & 1 << 3:
            os.truncate(path, size)
        if valid & (1 << 4 | 1 << 5):
            now = os.stat(path)
            os.utime(path, ns=(atime * 10**9 + atime_ns if valid & 1 << 4 else now.st_atime_ns,
                               mtime * 10**9 + mtime_ns if valid & 1 << 5 else now.st_mtime_ns))
        return self.getattr(node, b"")

    def mknod(self, node, body):
        mode, device, umask, _ = struct.unpack_from("<4I", body)
        name = names(body[16:], 1)[0]
        os.mknod(name, mode & ~umask, device, dir_fd=self.nodes.descriptor(node))
        return self.entry(node, name)

    def mkdir(self, node, body):
        mode, umask = struct.unpack_from("<2I", body)
        name = names(body[8:], 1)[0]
        os.mkdir(name, mode & ~umask, dir_fd=self.nodes.descriptor(node))
        return self.entry(node, name)

    def unlink(self, node, body):
        os.unlink(names(body, 1)[0], dir_fd=self.nodes.descriptor(node))
        return b""

    def rmdir(self, node, body):
        os.rmdir(names(body, 1)[0], dir_fd=self.nodes.descriptor(node))
        return b""

    def move(self, node, to, flags, body):
        old, new = names(body, 2)
        if self.libc.renameat2(self.nodes.descriptor(node), old, self.nodes.descriptor(to), new,
                               flags) != 0:
            raise OSError(ctypes.get_errno(), "renameat2")
        return b""

    def rename(self, node, body):
        return self.move(node, struct.unpack_from("<Q", body)[0], 0, body[8:])

    def rename2(self, node, body):
        to, flags = struct.unpack_from("<QI", body)
        return self.move(node, to, flags, body[16:])

    def link(self, node, body):
        name = names(body[8:], 1)[0]
        os.link(self.nodes.path(struct.unpack_from("<Q", body)[0]), name,
                dst_dir_fd=self.nodes.descriptor(node), follow_symlinks=True)
        return self.entry(node, name)

    def opened(self, fd):
        return struct.pack("<Q2I", fd, 0, 0)

    def open(self, node, body):
        flags = struct.unpack_from("<I", body)[0] & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        return self.opened(os.open(self.nodes.path(node), self.own(flags)))

    @staticmethod
    def own(flags):
        """The kernel says at which place to write, and may read pages that it writes in part."""
        if flags & os.O_ACCMODE == os.O_WRONLY:
            flags = flags & ~os.O_ACCMODE | os.O_RDWR
        return flags & ~(os.O_APPEND | os.O_DIRECT) | os.O_CLOEXEC

    def create(self, node, body):
        flags, mode, umask, _ = struct.unpack_from("<4I", body)
        name = names(body[16:], 1)[0]
        fd = os.open(name, self.own(flags) | os.O_CREAT, mode & ~umask,
                     dir_fd=self.nodes.descriptor(node))
        return self.entry(node, name) + self.opened(fd)

    def read(self, node, body):
        fd, offset, size = struct.unpack_from("<2QI", body)
        return os.pread(fd, size, offset)

    def write(self, node, body):
        fd, offset, size = struct.unpack_from("<2QI", body)
        return struct.pack("<2I", os.pwrite(fd, body[40:40 + size], offset), 0)

    def statfs(self, node, body):
        s = os.statvfs(self.nodes.path(node))
        return struct.pack("<5Q4I24x", s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree,
                           s.f_bsize, s.f_namemax, s.f_frsize, 0)

    def release(self, node, body):
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def fsync(self, node, body):
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    fsyncdir = fsync

    def opendir(self, node, body):
        return self.opened(os.open(self.nodes.path(node), os.O_RDONLY | os.O_DIRECTORY))

    def readdir(self, node, body):
        fd, first, size = struct.unpack_from("<2QI", body)
        self.pace.check_listing(first)
        if first == 0 or fd not in self.listings:
            self.listings[fd] = sorted(os.listdir(fd))
        out = b""
        for place, name in enumerate(self.listings[fd][first:], first + 1):
            name = os.fsencode(name)
            row = struct.pack("<2Q2I", place + 1, place, len(name), 0) + name
            row += b"\0" * (-len(row) % 8)
            if len(out) + len(row) > size:
                break
            out += row
        return out

    def releasedir(self, node, body):
        self.listings.pop(struct.unpack_from("<Q", body)[0], None)
        return self.release(node, body)

    def fallocate(self, node, body):
        fd, offset, length, mode = struct.unpack_from("<3QI", body)
        if self.libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
            raise OSError(ctypes.get_errno(), "fallocate")
        return b""


def serve(device, files, pace):
    """One of the threads that answer."""
    while True:
        try:
            request = os.read(device, REQUEST_MAX)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            return  # unmounted
        length, number, unique, node, *_ = HEADER.unpack_from(request)
        operation = files.operations.get(number)
        body, error = b"", 0
        try:
            if operation is None:
                raise OSError(errno.ENOSYS, "no such operation here")
            if operation not in files.never_waits:
                pace.take(operation in ("fsync", "fsyncdir"))
            body = getattr(files, operation)(node, request[HEADER.size:length])
        except OSError as failure:
            error = failure.errno
        if body is NO_ANSWER:
            continue
        try:
            os.writev(device, [struct.pack("<IiQ", 16 + len(body), -error, unique), body])
        except OSError:
            pass  # nobody waits for it any more


def main(folder, kept):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.umask(0)
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    pace = Pace()
    files = FileSystem(kept, pace)
    if libc.mount(b"slow", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
        sys.exit(f"cannot mount {folder}: {os.strerror(ctypes.get_errno())}")
    for _ in range(48):
        threading.Thread(target=serve, args=(device, files, pace), daemon=True).start()
    for line in sys.stdin:
        print(json.dumps(pace.set(json.loads(line))), flush=True)
    pace.set({"call": 0, "sync": 0, "hung": False})
    libc.umount2(os.fsencode(folder), 2)  # MNT_DETACH


if __name__ == "__main__":
    main(*sys.argv[1:3])
