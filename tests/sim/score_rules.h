// The rules on a scored prompt, counted row by row: which rows give a score, how many a step may
// give, and what comes before what.
#pragma once

#include <cstdint>

#include "engine/sched/executor.h"
#include "engine/sched/sequence.h"
#include "tests/sim/findings.h"

namespace intactkv::sim {

// Scores that a sequence owes from first to last: one for each token of the prompt after its first.
int32_t NumScores(const Sequence& sequence);
// It owes scores that it has not given.
inline bool OwesScores(const Sequence& sequence) {
  return sequence.num_scored < NumScores(sequence);
}
// Has given some of them.
inline bool IsBeingScored(const Sequence& sequence) {
  return sequence.num_scored > 0 && OwesScores(sequence);
}
// Its next rows lie below c: they are computed for their scores and append nothing.
inline bool ScoresBelowC(const Sequence& sequence) {
  return OwesScores(sequence) && sequence.num_scored < sequence.num_pinned();
}

// The most that the sequence may compute next with `rows` left, of which `scored` may be scored.
int32_t MostRows(const Sequence& sequence, int32_t rows, int32_t scored);
// Of its next `rows` rows, those that give a score.
int32_t NumScoredAmong(const Sequence& sequence, int32_t rows);

// The rows that `plan` has for `sequence`, and their samples, which begin at `sample`. Returns how
// many samples they are.
size_t CheckPlannedRows(const Sequence& sequence, const StepPlan& plan, const PlanSequence& planned,
                        size_t sample, Findings& findings);

}  // namespace intactkv::sim
