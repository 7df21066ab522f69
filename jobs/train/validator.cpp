#include "jobs/train/validator.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "caravan/check.hpp"
#include "core/run/train_step.hpp"
#include "jobs/plan/validation_pass.hpp"

namespace caravan::jobs {

Validator::Validator(TrainSetup& setup, Whereabouts& whereabouts)
    : setup_(setup),
      whereabouts_(whereabouts),
      source_(open_validation_data(setup)),
      batches_(validation_batches(setup.job(), *source_)),
      rounds_({.device = setup.device(),
               .model = setup.model(),
               .mesh = setup.mesh(),
               .plan = setup.pipeline().validation,
               .shape = setup.shape(),
               .share = setup.share(),
               .vocab_size = setup.whole_model().stage().vocab_size(),
               .whereabouts = &whereabouts},
              *source_) {}

std::optional<Validator::Result> Validator::run(const std::function<bool()>& is_over) {
  rounds_.start();
  const std::int64_t a_round = rounds_.microbatches_a_round(), rounds = (batches_ + a_round - 1) / a_round;
  for (std::int64_t round = 0; round < rounds; ++round) {
    if (round > 0 && is_over()) return std::nullopt;
    rounds_.run(round, batches_);
  }
  return result();
}

Validator::Result Validator::result() {
  whereabouts_.enter("all-reduce of the validation loss");
  const LossSums own = rounds_.own();
  std::array<double, 3> sums{own.loss, own.overflow, own.tokens};
  rounds_.sum_everywhere(sums);
  CARAVAN_CHECK(sums[1] == 0, ValidationError, "validation: " + without_room(sums[1]));
  CARAVAN_CHECK(std::isfinite(sums[0]), ValidationError,
                fmt::format("validation loss {} over {} samples (not finite, although the training loss is). "
                            "Look at the validation data, and at weights that training does not reach?",
                            sums[0], batches_ * setup_.share().local_batch));
  return {sums[2] > 0 ? sums[0] / sums[2] : 0, static_cast<std::int64_t>(sums[2])};
}

}  // namespace caravan::jobs
