"""From the registry to the arrays that every engine reads."""


rule fetch:
    # Mirrors, which may hold a password, are passed in a file: Snakemake prints a command that fails.
    input:
        registry=ancient("data/registry.yaml"),
        experiment=ancient(EXPERIMENT),
    output:
        "data/raw/{dataset}/{fingerprint}/fetched.json",
    log:
        "results/logs/fetch/{dataset}-{fingerprint}.log",
    shell:
        r"""
        {PYTHON:q} scripts/fetch.py \
            --registry {input.registry:q} \
            --extra-registry {input.experiment:q} \
            --dataset {wildcards.dataset:q} \
            --output-dir $(dirname {output:q}) \
            2>&1 | tee {log:q}
        """


rule prepare:
    input:
        registry=ancient("data/registry.yaml"),
        experiment=ancient(EXPERIMENT),
        fetched=ancient(JOBS.fetched),
    output:
        "data/prepared/{dataset}/{fingerprint}/dataset.json",
    log:
        "results/logs/prepare/{dataset}-{fingerprint}.log",
    shell:
        r"""
        {PYTHON:q} scripts/prepare.py \
            --registry {input.registry:q} \
            --extra-registry {input.experiment:q} \
            --dataset {wildcards.dataset:q} \
            --raw-dir $(dirname {input.fetched:q}) \
            --output-dir $(dirname {output:q}) \
            2>&1 | tee {log:q}
        """


rule contact_sheet:
    """The few examples that a figure shows: results need no arrays, and travel without them."""
    input:
        ancient("data/prepared/{dataset}/{fingerprint}/dataset.json"),
    output:
        "results/contact_sheets/{dataset}-{fingerprint,[0-9a-f]+}.json",
    log:
        "results/logs/contact_sheet/{dataset}-{fingerprint}.log",
    shell:
        r"""
        {PYTHON:q} scripts/contact_sheet.py \
            --prepared $(dirname {input:q}) \
            --output {output:q} \
            2>&1 | tee {log:q}
        """


rule data:
    """All datasets of the experiment, prepared, each with its contact sheet."""
    input:
        JOBS.datasets,
        JOBS.contact_sheets,
