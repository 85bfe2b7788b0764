"""Speed of the engine, measured against others' ways of doing the same.

Each command prints one table and writes it as JSON, with the machine that it was measured on:

    python -m benchmarks.chain        the Langevin chain against others and against the processor
    python -m benchmarks.iteration    a training iteration against the published port's way; of
                                      clips, ours alone
    python -m benchmarks.sampling     many samples end to end, with peak memory
    python -m benchmarks.loading      data loading, host overhead, memory over the size of the data
    python -m benchmarks.processes    two processes against one, and a model of many
    python -m benchmarks.layers       single layers: the library's kernels against our products
    python -m benchmarks.table FILE   the same tables in Markdown, from the JSON
"""
