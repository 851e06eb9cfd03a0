"""What this machine can run, asked before anything is trained."""


rule preflight:
    input:
        experiment=ancient(EXPERIMENT),
    log:
        "results/logs/preflight.log",
    shell:
        "{PYTHON:q} scripts/preflight.py --experiment {input.experiment:q} 2>&1 | tee {log:q}"
