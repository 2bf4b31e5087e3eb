"""The build macros of this repository. They own every compiler and linker flag."""

_COPTS = [
    "-std=c++20",
    "-O2",
    "-g1",
    "-Wall",
    "-Wextra",
    "-pthread",
]

_SANITIZED = ["-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]

def _sanitizer_flags():
    return select({
        "//third_party:asan": ["-fsanitize=address"],
        "//third_party:ubsan": ["-fsanitize=undefined"],
        "//third_party:tsan": ["-fsanitize=thread"],
        "//third_party:libfuzzer": ["-fsanitize=fuzzer-no-link,address"],
        "//conditions:default": [],
    })

def _copts(extra):
    # NDEBUG spares the containers of Abseil their internal checks; our own assertions are
    # SLUICE_CHECK and glog's CHECK, which stay on. The sanitizer builds are the debug builds.
    return _COPTS + select({
        "//third_party:asan": _SANITIZED + ["-DSLUICE_DEBUG=1"],
        "//third_party:ubsan": _SANITIZED + ["-DSLUICE_DEBUG=1"],
        "//third_party:tsan": _SANITIZED + ["-DSLUICE_DEBUG=1"],
        "//third_party:libfuzzer": _SANITIZED + ["-DSLUICE_DEBUG=1"],
        "//conditions:default": ["-DNDEBUG"],
    }) + _sanitizer_flags() + (extra or [])

def _linkopts(extra):
    return ["-pthread"] + _sanitizer_flags() + (extra or [])

def sluice_cc_library(name, copts = None, linkopts = None, **kwargs):
    """A cc_library with the project's flags. `linkopts` are for packaged libraries."""
    native.cc_library(
        name = name,
        copts = _copts(copts),
        linkopts = linkopts or [],
        linkstatic = True,
        **kwargs
    )

def sluice_cc_binary(name, copts = None, linkopts = None, **kwargs):
    native.cc_binary(
        name = name,
        copts = _copts(copts),
        linkopts = _linkopts(linkopts),
        **kwargs
    )

def sluice_cc_test(name, deps = None, copts = None, linkopts = None, size = "small", **kwargs):
    """A GoogleTest with its main. Tags: sim kills crash fuzz soak system needs_root; none is a unit test."""
    native.cc_test(
        name = name,
        size = size,
        copts = _copts(copts),
        linkopts = _linkopts(linkopts),
        deps = (deps or []) + ["//third_party:gtest_main"],
        **kwargs
    )

def sluice_mutant_test(name, mutation, srcs, mutated, copts = None, **kwargs):
    """A test linked with faulty cores: `mutated` are the .cc files (labels, exported by their
    packages) that include common/mutations.h, compiled once more with -DSLUICE_MUTATION=mutation.

    Their objects come before the libraries of `deps`, which hold the sound ones, and so win.
    Nothing else is compiled again. The test sees SLUICE_MUTATION too: it must *find* the fault.
    """
    sluice_cc_test(
        name = name,
        srcs = srcs + mutated,
        copts = (copts or []) + ["-DSLUICE_MUTATION=%d" % mutation],
        **kwargs
    )

def sluice_fuzzer(name, runs, deps = None):
    """A fuzzer of tests/fuzz: NAME_fuzz.cc, with its corpus in corpus/NAME.

    NAME_fuzz_test runs seeds, corpus and `runs` mutations of them, the same every time.
    NAME_libfuzzer is for tests/fuzz/run.sh, which builds it with Clang (--config=libfuzzer).
    """
    sluice_cc_library(
        name = name + "_fuzz",
        srcs = [name + "_fuzz.cc"],
        alwayslink = True,
        deps = (deps or []) + [":fuzz"],
    )
    native.cc_test(
        name = name + "_fuzz_test",
        size = "medium",
        args = ["--runs=%d" % runs, "tests/fuzz/corpus/" + name],
        copts = _copts(None),
        linkopts = _linkopts(None),
        data = native.glob(["corpus/" + name + "/*"]),
        tags = ["fuzz"],
        deps = [":" + name + "_fuzz", ":driver"],
    )
    sluice_cc_binary(
        name = name + "_libfuzzer",
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = [":" + name + "_fuzz"],
    )

def sluice_proto_library(name, srcs, deps = [], grpc = False, **kwargs):
    """C++ of .proto files, made by the packaged protoc: include "folder/file.pb.h".

    With `grpc` also "folder/file.grpc.pb.h", from the packaged plugin, for every file of `srcs`.
    `deps` are other sluice_proto_library targets whose files are imported.
    """
    native.filegroup(
        name = name + "_protos",
        srcs = srcs + [d + "_protos" if ":" in d else d + ":" + d.split("/")[-1] + "_protos" for d in deps],
        visibility = kwargs.get("visibility"),
    )
    stems = [s[:-len(".proto")] for s in srcs]
    headers = [s + ".pb.h" for s in stems]
    sources = [s + ".pb.cc" for s in stems]
    plugin = ""
    if grpc:
        headers += [s + ".grpc.pb.h" for s in stems]
        sources += [s + ".grpc.pb.cc" for s in stems]
        plugin = ("--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin " +
                  "--grpc_out=generate_mock_code=false:$(GENDIR) ")
    native.genrule(
        name = name + "_generate",
        srcs = [":" + name + "_protos"],
        outs = headers + sources,
        cmd = "/usr/bin/protoc --proto_path=. --cpp_out=$(GENDIR) " + plugin +
              " ".join(["$(location %s)" % s for s in srcs]),
        tools = srcs,
        visibility = ["//visibility:private"],
    )
    sluice_cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        copts = ["-Wno-unused-parameter"],
        deps = deps + ["//third_party:grpc" if grpc else "//third_party:protobuf"],
        **kwargs
    )
