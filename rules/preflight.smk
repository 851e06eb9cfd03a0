"""What this machine can run, looked at before anything is trained."""


rule preflight:
    input:
        experiment=ancient(EXPERIMENT),
    log:
        "results/logs/preflight.log",
    params:
        told=BEGUN.told_text,
    shell:
        r"""
        {PYTHON:q} scripts/preflight.py \
            --experiment {input.experiment:q} \
            --told={params.told:q} \
            2>&1 | tee {log:q}
        """
