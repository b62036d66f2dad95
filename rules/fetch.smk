# The only stage that uses the network. What it brings is fixed by its hash, so neither its code nor
# its list of sources is an input: editing them must not bring 345 MB again.


rule fetch:
    output:
        fetched("{file}"),
    log:
        f"{LOGS}/fetch/{{file}}.log",
    benchmark:
        f"{BENCHMARKS}/fetch/{{file}}.tsv"
    wildcard_constraints:
        file="|".join(map(re.escape, REGISTRY)),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(120),
    params:
        proof=lambda wildcards: asdict(REGISTRY[wildcards.file].proof),
        registry=shipped("resources/registry.yaml"),
        # A bucket takes files, not links.
        downloads=None if workflow.storage_settings.default_storage_provider else DOWNLOADS,
    message:
        "Fetch {wildcards.file}"
    script:
        "../scripts/fetch.py"
