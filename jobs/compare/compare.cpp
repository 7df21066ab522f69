#include "jobs/compare/compare.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "jobs/compare/comparison.hpp"
#include "jobs/compare/report.hpp"
#include "jobs/compare/side.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {

Report compare(const CompareOptions& options, Communicator& world, Ink ink) {
  const auto registry = make_registry();
  const auto a = open_stored_model(options.a, options.degrees, *registry);
  const auto b = open_model_or_answers(options.b, options.degrees, *registry);
  CARAVAN_CHECK(a->vocab() == b->vocab(), IoError,
                fmt::format("{} has a vocabulary of {} tokens and {} one of {} (logits are compared token by "
                            "token). Are they the same model?",
                            options.a.path, a->vocab(), options.b.path, b->vocab()));
  const Sequences sequences = read_sequences(options.inputs, a->vocab());
  b->check_answers(sequences, options.inputs);
  const Answers of_a = a->answer(sequences, world), of_b = b->answer(sequences, world);
  return compare_report({options, sequences, of_a, of_b, a->how(), b->how()},
                        compare_answers(of_a, of_b, sequences), ink);
}

}  // namespace caravan::jobs
