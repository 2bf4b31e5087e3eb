"""A test of whole clusters: NAME.py, run with the paths of its programs."""

def system_test(name, programs, data = [], args = [], tags = []):
    native.sh_test(
        name = name,
        size = "large",
        srcs = ["run_python.sh"],
        args = ["$(location %s.py)" % name] + ["$(location %s)" % p for p in programs] + args,
        data = [name + ".py", "cluster.py"] + programs + data,
        tags = ["system"] + tags,
    )
