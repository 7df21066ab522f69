#include "jobs/train/sampler.hpp"

#include <algorithm>

#include "jobs/generate/answer.hpp"
#include "jobs/generate/continue_sequences.hpp"

namespace caravan::jobs {

Sampler::Sampler(TrainSetup& setup, const DataIdentity& data, Whereabouts& whereabouts)
    : setup_(setup),
      whereabouts_(whereabouts),
      prompts_(sample_prompts(setup.job(), data, setup.whole_model().stage().vocab_size())),
      plan_(plan()),
      decoder_(setup.device(), setup.model().stage(), plan_,
               setup.model().sharded() ? &setup.model().sharded()->stage(0) : nullptr) {}

DecodePlan Sampler::plan() const {
  DecodePlan plan = plan_samples(setup_.job(), setup_.device(), setup_.model());
  plan.drawable = std::min<std::int64_t>(plan.drawable, prompts_.tokenizer->vocab_size());
  plan.stops.clear();
  if (const auto eos = prompts_.tokenizer->eos()) plan.stops.push_back(*eos);
  plan.is_alone = setup_.world().size() == 1;
  return plan;
}

std::optional<std::vector<SampleText>> Sampler::write(const std::function<bool()>& is_over) {
  Batcher batcher(plan_.cache, setup_.model().stage().chunk_size(), plan_.most_rows, plan_.stops);
  std::vector<Answer> answers;
  for (const Sequence& sequence : prompts_.sequences) {
    batcher.enqueue(sequence);
    answers.emplace_back(prompts_.tokenizer.get(), std::vector<std::string>{});
  }
  const auto take = [&](const Batcher::Drawn& drawn) {
    Answer& answer = answers[drawn.number];
    if (drawn.end != Batcher::End::stop) answer.push(drawn.drawn);
    if (drawn.end == Batcher::End::none) return false;
    answer.finish(drawn.end == Batcher::End::stop ? "eos" : "length");
    return true;
  };
  const auto leaves = [&] {
    whereabouts_.enter("texts of the model");
    return is_over();
  };
  if (!continue_sequences({setup_.device(), decoder_, batcher, setup_.world(), take, leaves}))
    return std::nullopt;
  std::vector<SampleText> texts;
  for (std::size_t at = 0; at < answers.size(); ++at)
    texts.push_back({setup_.job().validation.samples.prompts[at], answers[at].text(), answers[at].reason(),
                     std::ssize(answers[at].tokens())});
  return texts;
}

}  // namespace caravan::jobs
