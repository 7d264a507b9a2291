-- Which company has which version of which plan, and when; from and until are the same where it is not in force, but may
-- come to be until then. Kept with every change of a company. Before, there were no versions: all of them are 0.
CREATE TABLE plan_use (
    company TEXT NOT NULL,
    plan TEXT NOT NULL,
    plan_version INTEGER NOT NULL,
    from_us INTEGER NOT NULL,
    until_us INTEGER NOT NULL,
    PRIMARY KEY (company, plan, plan_version, from_us)
) STRICT, WITHOUT ROWID;

CREATE INDEX plan_use_by_plan ON plan_use (plan, company, plan_version, from_us, until_us);

CREATE INDEX plan_use_by_version ON plan_use (plan, plan_version, until_us);

INSERT OR IGNORE INTO plan_use
SELECT company.company, phase.value ->> '$.plan', 0,
    coalesce(phase.value ->> '$.from_us', 0), coalesce(phase.value ->> '$.until_us', 9223372036854775807)
FROM company, json_each(
    CASE WHEN json_valid(CAST(timeline AS TEXT)) THEN CAST(timeline AS TEXT) ELSE '[]' END,
    CASE WHEN substr(CAST(timeline AS TEXT), 1, 1) = '{' THEN '$.phases' ELSE '$' END
) AS phase
WHERE document IS NOT NULL AND phase.value ->> '$.plan' <> '';

INSERT OR IGNORE INTO plan_use
SELECT company, json_extract(CAST(document AS TEXT), '$.subscription.plan'), 0,
    CASE WHEN timeline IS NULL THEN 0 ELSE 9223372036854775807 END, 9223372036854775807
FROM company
WHERE document IS NOT NULL AND json_valid(CAST(document AS TEXT))
    AND json_extract(CAST(document AS TEXT), '$.subscription.plan') IS NOT NULL;

INSERT OR IGNORE INTO plan_use
SELECT company.company, change.value ->> '$.plan', 0, 9223372036854775807, 9223372036854775807
FROM company, json_each(
    CASE WHEN json_valid(CAST(document AS TEXT)) THEN CAST(document AS TEXT) ELSE '{}' END,
    '$.subscription.changes'
) AS change
WHERE document IS NOT NULL AND change.value ->> '$.plan' <> '';

-- Moves of companies to new versions of their plans that are not done. Those up to "company" were looked through, all of
-- them where it is NULL.
CREATE TABLE plan_move (
    plan TEXT NOT NULL,
    plan_version INTEGER NOT NULL,
    decided_us INTEGER NOT NULL,
    company TEXT,
    PRIMARY KEY (plan, plan_version)
) STRICT, WITHOUT ROWID;
