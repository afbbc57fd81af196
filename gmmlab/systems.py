"""The inventory: every published system that gmmlab implements, by its slug, and its entry point."""

from __future__ import annotations

SYSTEMS: dict[str, str] = {
    "estimation/bayesian-vb-dp": "gmmlab.BayesianGaussianMixture",
    "estimation/censored": "gmmlab.TruncatedGaussianMixture",
    "estimation/coresets": "gmmlab.init.coreset",
    "estimation/em-covariances": "gmmlab.families.EIGEN",
    "estimation/em-family": "gmmlab.GaussianMixture",
    "estimation/em-online": "gmmlab.fit.stepwise",
    "estimation/em-selection": "gmmlab.select",
    "estimation/gpc": "gmmlab.clustering.CategoryDiscoveryGMM",
    "estimation/ila-sdp": "gmmlab.clustering.SDPClustering",
    "estimation/incremental": "gmmlab.IncrementalGaussianMixture",
    "estimation/modes": "gmmlab.algebra.find_modes",
    "estimation/noisy-incomplete": "gmmlab.DeconvolvedGaussianMixture",
    "estimation/ppp": "gmmlab.clustering.PartitivePartitioning",
    "estimation/semi-gmm": "gmmlab.SemiSupervisedGMM",
    "estimation/star-clusters": "gmmlab.clustering.StarClusterFinder",
    "estimation/tangles": "gmmlab.clustering.TangleClustering",
    "estimation/vibration": "gmmlab.clustering.vibration.grid",
    "experts/gmr": "gmmlab.experts.GMRegressor",
    "experts/logistic-moe": "gmmlab.experts.LogisticMoE",
    "experts/softmax-moe": "gmmlab.experts.SoftmaxMoE",
    "experts/topk-moe": "gmmlab.experts.TopKMoE",
    "processes/ar-hmm": "gmmlab.sequences.ARHMM",
    "processes/hmm": "gmmlab.sequences.HMM",
}
