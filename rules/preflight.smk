"""What this machine can run, asked before anything is trained."""


rule preflight:
    input:
        experiment=ancient(EXPERIMENT),
    log:
        "results/logs/preflight.log",
    params:
        told=TOLD.text() if TOLD else "",
    shell:
        "{PYTHON:q} scripts/preflight.py --experiment {input.experiment:q} --told={params.told:q}"
        " 2>&1 | tee {log:q}"
