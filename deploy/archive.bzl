"""One static library out of a cc_library and everything of ours below it."""

def _flat(values):
    seen = {}
    for value in values:
        seen[value] = True
    return seen.keys()

def _sluice_archive_impl(ctx):
    inputs = ctx.attr.library[CcInfo].linking_context.linker_inputs.to_list()
    archives = []
    flags = []
    for linker_input in inputs:
        flags.extend(linker_input.user_link_flags)
        for library in linker_input.libraries:
            archive = library.pic_static_library or library.static_library
            if archive:
                archives.append(archive)
    archives = _flat(archives)

    script = ctx.actions.declare_file(ctx.label.name + ".mri")
    ctx.actions.write(script, "\n".join(
        ["CREATE " + ctx.outputs.archive.path] +
        ["ADDLIB " + archive.path for archive in archives] +
        ["SAVE", "END", ""],
    ))
    ctx.actions.run_shell(
        inputs = archives + [script],
        outputs = [ctx.outputs.archive],
        command = "ar -M < %s" % script.path,
        mnemonic = "MergeArchives",
    )
    ctx.actions.write(ctx.outputs.link_flags, " ".join(_flat(flags)) + "\n")

# `archive` holds the objects of the whole closure, `link_flags` what a program must link beside it.
sluice_archive = rule(
    implementation = _sluice_archive_impl,
    attrs = {
        "library": attr.label(mandatory = True, providers = [CcInfo]),
        "archive": attr.output(mandatory = True),
        "link_flags": attr.output(mandatory = True),
    },
)
