# Where files of the flowers and of their nets stand, and what rules take of them.


def flowers_file(name):
    """Return where a file of the flowers data set stands: drawn or fetched."""
    if PLAN.generated:
        return f"{DATA}/generated/{name}"
    return fetched(f"{config['flowers']['data']}/{name}")


def flowers_proofs(*files):
    """Return the proofs of those of the flowers' files that are fetched."""
    return proofs_of(name for name in PLAN.flower_files if Path(name).name in files)


def weights_of(model):
    """Return the file of a model's weights, or none for random ones."""
    return fetched(*model.weights) if model.weights else []


def split_files(splits):
    return [f"{FLOWERS}/splits/{split}.csv" for split in splits]


def features_of(model, name):
    """Return the file ``name`` of a net's features: one for all splits, or one for each."""
    return [f"{FLOWERS}/features/{model.name}/{cover}/{name}" for cover in model.covers]


def notebook_manifest(model):
    """Return what is known of a net that is trained as the notebook did, and keeps no features."""
    return f"{FLOWERS}/notebook/{model.name}.json"


def shards_folder(model):
    """Return the folder of what shards leave for the join; without shards there is none."""
    return f"{FLOWERS}/features/.{model.name}-{{cover}}.shards"


def made_features(model, name):
    """Return the file ``name`` that a features job writes: of all images, or of one shard."""
    if SHARDED:
        return temp(f"{shards_folder(model)}/{{scatteritem}}/{name}")
    return f"{FLOWERS}/features/{model.name}/{{cover}}/{name}"


def gathered_features(model, name):
    """Return the file ``name`` of every shard of a net's features."""
    shards = gather.features("{scatteritem}")
    return [f"{shards_folder(model)}/{shard}/{name}" for shard in shards]


# --- pictures of one's own, and the report's curve ---


def fingerprint_of_pictures(wildcards):
    """Return a hash of what is in the folders: changed by content, not by a touch. Writes nothing."""
    with InWords():
        found = pictures.find(config["flowers"]["folders"], config["flowers"]["table"])
        return pictures.fingerprint(found.pictures, f"{FLOWERS}/seen.csv")


def fingerprint_of_asked(wildcards):
    """Return a hash of the pictures that the net is asked about. Writes nothing."""
    with InWords():
        return pictures.fingerprint_of_asked(config["predict"]["images"])


def curve_of(model):
    """Return the report's own curve of a model, where it is known and may be held against it."""
    if why_not(model, PLAN, REGISTRY, REPORT):
        return []
    curve = REPORT.models[model.net["reported"]].curve
    return shipped(curve) if curve else []
