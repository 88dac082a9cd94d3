"""How good a network is, with and without attack, and whether its evaluation can be believed.

Each name has one address, the module that holds it:

- :mod:`drs.evaluation.accuracy`: ``accuracy``, ``clean_metrics`` and what they are made of, on clean images;
- :mod:`drs.evaluation.curves`: ``curve_metrics``, accuracy over budgets, for the attacks named in ``ATTACKS``;
- :mod:`drs.evaluation.report`: ``evaluate``, a model on a user's data under an attack, with intervals;
- :mod:`drs.evaluation.audit`: ``audit``, a model under many attacks, and whether the number can be believed;
- :mod:`drs.evaluation.audit_report`: ``Audit``, what was found;
- :mod:`drs.evaluation.stages`: ``Battery``, what an audit runs, with the checks of :mod:`drs.evaluation.sanity`;
- :mod:`drs.evaluation.tally`: who fell to what;
- :mod:`drs.evaluation.passes`: ``Counted``, which counts what an audit spends and holds its deadline;
- :mod:`drs.evaluation.audit_page`: ``page``, an audit as one HTML file;
- :mod:`drs.evaluation.inputs`: ``load_model`` and ``load_folder``, what the command ``drs audit`` reads;
- :mod:`drs.evaluation.attack_audit`: ``audit_attack``; :mod:`drs.evaluation.attack_report`: what was found;
- :mod:`drs.evaluation.zoo`: broken defences; :mod:`drs.evaluation.broken_attacks`: broken attacks;
- :mod:`drs.evaluation.certified`: ``certified_accuracy``, which no attack can go below, and ``bracket``;
- :mod:`drs.evaluation.detector_audit`: ``audit_detector``, a detector before attackers who know it and who do not;
- :mod:`drs.evaluation.detector_report`: ``DetectorAudit``, what was found;
- :mod:`drs.evaluation.probes`: measurements that show a broken attack, such as ``zero_gradient_share``;
- :mod:`drs.evaluation.alarms`: ``alarms`` and ``fired``, which judge what was measured; needs no torch;
- :mod:`drs.evaluation.measurements`: ``Measured``, the numbers that they judge; needs no torch;
- :mod:`drs.evaluation.readings`: what they read from those numbers; needs no torch;
- :mod:`drs.evaluation.limits`: what chance alone may do; needs no torch.
"""

__all__ = [
    "accuracy",
    "alarms",
    "attack_audit",
    "attack_report",
    "audit",
    "audit_page",
    "audit_report",
    "broken_attacks",
    "certified",
    "curves",
    "detector_audit",
    "detector_report",
    "inputs",
    "limits",
    "measurements",
    "passes",
    "probes",
    "readings",
    "report",
    "sanity",
    "stages",
    "tally",
    "zoo",
]
