#include "tests/sim/score_rules.h"

#include <algorithm>

namespace intactkv::sim {
namespace {

// Where the next row lies. What has been scored and lies below c is never computed again.
int32_t NextPosition(const Sequence& sequence) {
  return ScoresBelowC(sequence) ? sequence.num_scored : sequence.num_computed;
}

bool GivesScore(const Sequence& sequence, int32_t position) {
  return position >= sequence.num_scored && position < NumScores(sequence);
}

void CheckSample(const Sequence& sequence, int32_t position, const SampleRow& sample,
                 Findings& findings) {
  if (!GivesScore(sequence, position)) {
    return findings.Require(!sample.scored, "a drawn token is taken for a score");
  }
  const GenerationRequest& request = sequence.group->request;
  findings.Require(sample.scored == request.prompt[static_cast<size_t>(position) + 1],
                   "not the prompt's next token is scored");
  findings.Require(sample.params.num_logprobs == request.sampling.num_logprobs,
                   "a score without the alternatives that were asked for");
}

}  // namespace

int32_t NumScores(const Sequence& sequence) {
  const GenerationRequest& request = sequence.group->request;
  const bool owes = request.score_prompt && sequence.choice == 0;
  return owes ? static_cast<int32_t>(request.prompt.size()) - 1 : 0;
}

int32_t MostRows(const Sequence& sequence, int32_t rows, int32_t scored) {
  const int32_t first = NextPosition(sequence);
  const int32_t end = ScoresBelowC(sequence) ? std::min(sequence.num_pinned(), NumScores(sequence))
                                             : sequence.num_tokens();
  int32_t most = 0;
  for (; most < rows && first + most < end; ++most) {
    if (GivesScore(sequence, first + most) && --scored < 0) break;
  }
  return most;
}

int32_t NumScoredAmong(const Sequence& sequence, int32_t rows) {
  const int32_t first = NextPosition(sequence);
  int32_t scored = 0;
  for (int32_t i = 0; i < rows; ++i) scored += GivesScore(sequence, first + i) ? 1 : 0;
  return scored;
}

size_t CheckPlannedRows(const Sequence& sequence, const StepPlan& plan, const PlanSequence& planned,
                        size_t sample, Findings& findings) {
  const bool below_c = ScoresBelowC(sequence);
  findings.Require(planned.append == !below_c, "appends below c, or computes for scores alone");
  findings.Require(!OwesScores(sequence) || below_c || sequence.num_computed <= sequence.num_scored,
                   "a row was computed and not scored");
  size_t samples = 0;
  for (int32_t i = 0; i < planned.num_rows; ++i) {
    const PlanRow& row = plan.rows[static_cast<size_t>(planned.first_row + i)];
    findings.Require(row.position == NextPosition(sequence) + i, "not the next row");
    const bool last = row.position == sequence.num_tokens() - 1;
    findings.Require(row.wants_logits == (last || GivesScore(sequence, row.position)),
                     "logits that nobody wants, or none");
    if (!row.wants_logits) continue;
    if (sample + samples >= plan.samples.size()) {
      findings.Add("fewer samples than rows with logits");
      break;
    }
    CheckSample(sequence, row.position, plan.samples[sample + samples++], findings);
  }
  return samples;
}

}  // namespace intactkv::sim
