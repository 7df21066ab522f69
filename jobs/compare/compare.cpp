#include "jobs/compare/compare.hpp"

#include <fmt/format.h>

#include <functional>

#include "caravan/check.hpp"
#include "jobs/compare/comparison.hpp"
#include "jobs/compare/report.hpp"
#include "jobs/compare/side.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {
namespace {

/// Before anything is computed.
void check_same_depth(const CompareOptions& options, const Side& a, const Side& b) {
  if (!a.layers() || !b.layers()) return;
  CARAVAN_CHECK(*a.layers() == *b.layers(), IoError,
                fmt::format("{} has {} layers and {} has {} (they are compared layer by layer). Are they the "
                            "same model?",
                            options.a.path, *a.layers(), options.b.path, *b.layers()));
}

Comparison naming_sides(const CompareOptions& options, const std::function<Comparison()>& compare) {
  try {
    return compare();
  } catch (const IoError& error) {
    throw IoError(fmt::format("A={}, B={}: {}", options.a.path, options.b.path, error.what()));
  }
}

}  // namespace

Report compare(const CompareOptions& options, Communicator& world, Ink ink) {
  const auto registry = make_registry();
  const auto a = open_stored_model(options.a, options.degrees, *registry);
  const auto b = open_model_or_answers(options.b, options.degrees, *registry);
  CARAVAN_CHECK(a->vocab() == b->vocab(), IoError,
                fmt::format("{} has a vocabulary of {} tokens and {} one of {} (logits are compared token by "
                            "token). Are they the same model?",
                            options.a.path, a->vocab(), options.b.path, b->vocab()));
  check_same_depth(options, *a, *b);
  const Sequences sequences = read_sequences(options.inputs, a->vocab());
  b->check_answers(sequences, options.inputs);
  const Answers of_a = a->answer(sequences, world), of_b = b->answer(sequences, world);
  const Comparison found = naming_sides(options, [&] { return compare_answers(of_a, of_b, sequences); });
  return compare_report({options, sequences, of_a, of_b, a->how(), b->how()}, found, ink);
}

}  // namespace caravan::jobs
