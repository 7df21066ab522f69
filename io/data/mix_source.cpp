#include "io/data/mix_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "caravan/schema.hpp"
#include "io/files/digest.hpp"

namespace caravan::io {
namespace {

constexpr std::int64_t kMostSamples = std::int64_t{1} << 62;

std::string name_of(const Config& part, const std::string& source) {
  const Config& path = part.find("path");
  if (path.kind() == Config::Kind::scalar) return path.text();
  if (path.items().empty() || path.items()[0].kind() != Config::Kind::scalar) return source;
  const std::string& first = path.items()[0].text();
  return path.items().size() == 1 ? first : fmt::format("{} and {} more", first, path.items().size() - 1);
}

ParamSchema schema_of(Registry& registry, const std::string& source) {
  const caravan_component& component = *registry.find(DataSource::kKind, source).component;
  return {component.params, component.num_params};
}

/// The keys of a part that are the mix's own, checked.
Config own_keys(Registry& registry, const Config& part) {
  CARAVAN_CHECK(part.kind() == Config::Kind::map, ConfigError,
                fmt::format("{}: {} is not a map (a part is a weight and the keys of its source)",
                            part.where(), part.path()));
  const Config& source = part.find("source");
  const std::string name = source.kind() == Config::Kind::scalar ? source.text() : kUsualPartSource;
  refuse_misspelled(part, kMixPartParams, schema_of(registry, name), "a part of a mix");
  for (const char* key : {"split", "sequence_length"})
    CARAVAN_CHECK(!part.has(key), ConfigError,
                  fmt::format("{}: {} (all parts of a mix have one {}). Leave it out?",
                              part.find(key).where(), part.find(key).path(), key));
  Config own = part.emptied();
  for (const caravan_param& param : kMixPartParams)
    if (part.has(param.name)) own.set(param.name, part.at(param.name));
  return validate(own, kMixPartParams, "a part of a mix");
}

bool takes(Registry& registry, const std::string& source, std::string_view key) {
  return std::ranges::any_of(schema_of(registry, source),
                             [&](const caravan_param& param) { return param.name == key; });
}

/// What is left for the source.
Config source_keys(const Config& part, const Config& mix, bool has_split) {
  Config keys = part;
  for (const caravan_param& param : kMixPartParams) keys.erase(param.name);
  keys.set("sequence_length", mix.at("sequence_length"));
  if (!keys.has("seed")) keys.set("seed", mix.at("seed"));
  if (has_split) keys.set("split", mix.at("split"));
  return keys;
}

bool holds_out(Registry& registry, const Config& part, const std::string& source) {
  if (!takes(registry, source, "split")) return false;
  if (!takes(registry, source, "validation_fraction")) return true;
  return part.has("validation_fraction") && part.get_float("validation_fraction") > 0;
}

Made<DataSource> open_source(const Host& host, const std::string& source, const Config& keys,
                             const std::string& name) {
  try {
    return host.registry->create<DataSource>(source, host, keys);
  } catch (Error& error) {
    error.add_context(fmt::format("part {} of the mix", name));
    throw;
  }
}

bool is_validation(const Config& mix) {
  return mix.get_string("split") == "validation";
}

}  // namespace

std::vector<MixSource::Part> MixSource::open_parts(const Host& host, const Config& config) {
  std::vector<Part> parts;
  for (const Config& part : config.at("parts").items()) {
    const Config own = own_keys(*host.registry, part);
    const std::string source = own.get_string("source"), name = name_of(part, source);
    CARAVAN_CHECK(
        source != kName, ConfigError,
        fmt::format("{}: {} is a mix (a mix has no mixes). Its parts here, with weights of this mix?",
                    part.where(), part.path()));
    if (is_validation(config) && !holds_out(*host.registry, part, source)) {
      log_info(fmt::format("validation leaves out {}, which holds out nothing", name));
      continue;
    }
    const Config keys = source_keys(part, config, takes(*host.registry, source, "split"));
    auto made = open_source(host, source, keys, name);
    const DataIdentity identity = made->identity();
    parts.push_back({name, own.get_float("weight"), std::move(made), identity});
  }
  CARAVAN_CHECK(!parts.empty() || config.at("parts").items().empty(), ConfigError,
                "no part of the mix holds out anything for validation. validation_fraction in a part, or "
                "validation.data with a source of its own?");
  return parts;
}

std::vector<double> MixSource::weights_of(const std::vector<Part>& parts) {
  std::vector<double> weights;
  for (const Part& part : parts) weights.push_back(part.weight);
  return weights;
}

MixSource::MixSource(const Host& host, const Config& config)
    : length_(config.get_int("sequence_length")),
      parts_(open_parts(host, config)),
      order_(weights_of(parts_), static_cast<std::uint64_t>(config.get_int("seed"))),
      has_documents_(
          std::ranges::any_of(parts_, [](const Part& part) { return part.source->has_documents(); })),
      pass_(samples_before_a_second_pass()) {
  check_tokenizers();
}

/// The same numbers are to be the same words in all parts.
void MixSource::check_tokenizers() const {
  const auto knows = [](const Part& part) { return !part.identity.tokenizer_digest.empty(); };
  const auto first = std::ranges::find_if(parts_, knows);
  if (first == parts_.end()) return;
  for (const Part& part : parts_) {
    if (!knows(part)) {
      log_warning(
          fmt::format("{} does not say which tokenizer made it ({} was made with {}). That it is the same is "
                      "not checked",
                      part.name, first->name, first->identity.tokenizer_digest));
      continue;
    }
    CARAVAN_CHECK(
        part.identity.tokenizer_digest == first->identity.tokenizer_digest, IoError,
        fmt::format("{} was made with the tokenizer {}, {} with {} (in a mix the same numbers are the same "
                    "words). Prepare one of them again?",
                    first->name, first->identity.tokenizer_digest, part.name,
                    part.identity.tokenizer_digest));
  }
}

std::int64_t MixSource::samples_before_a_second_pass() const {
  const auto ends = [](const Part& part) { return part.source->samples() > 0; };
  if (std::ranges::none_of(parts_, ends)) return 0;
  const auto fit = [&](std::int64_t samples) {
    const std::vector<std::int64_t> taken = order_.taken(samples);
    for (std::size_t part = 0; part < parts_.size(); ++part)
      if (ends(parts_[part]) && taken[part] > parts_[part].source->samples()) return false;
    return true;
  };
  std::int64_t most = 0;
  for (std::int64_t step = kMostSamples / 2; step > 0; step /= 2)
    if (fit(most + step)) most += step;
  return most;
}

std::int64_t MixSource::vocab_size() const {
  std::int64_t largest = 0;
  for (const Part& part : parts_) largest = std::max(largest, part.source->vocab_size());
  return largest;
}

bool MixSource::repeats() const {
  return std::ranges::all_of(parts_, [](const Part& part) { return part.source->repeats(); });
}

void MixSource::read(std::int64_t index, const Sample& sample) {
  CARAVAN_CHECK(index >= 0, IoError, fmt::format("there is no sample {}", index));
  const MixOrder::Place place = order_.at(index);
  DataSource& source = *parts_[place.part].source;
  Sample of_part = sample;
  if (!source.has_documents()) {
    std::ranges::fill(sample.documents, 0);
    of_part.documents = {};
  }
  source.read(place.index, of_part);
}

DataIdentity MixSource::identity() const {
  DataIdentity all;
  std::string text = "mix";
  bool are_known = true, are_counted = true;
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    const DataIdentity& mine = parts_[part].identity;
    text += fmt::format("\n{} {:.9f}", mine.digest, order_.shares()[part]);
    are_known = are_known && !mine.digest.empty();
    are_counted = are_counted && mine.tokens > 0;
    all.tokens += mine.tokens;
    if (all.tokenizer.empty()) all.tokenizer = mine.tokenizer;
    if (all.tokenizer_digest.empty()) all.tokenizer_digest = mine.tokenizer_digest;
  }
  if (are_known) all.digest = "xxh3:" + digest_text(std::as_bytes(std::span(text)));
  if (!are_counted) all.tokens = 0;
  return all;
}

std::vector<PartUse> MixSource::uses(std::int64_t samples) const {
  const std::vector<std::int64_t> taken = order_.taken(samples);
  std::vector<PartUse> uses;
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    const DataSource& source = *parts_[part].source;
    uses.push_back(
        {parts_[part].name, order_.shares()[part], taken[part], source.samples(), source.repeats()});
  }
  return uses;
}

}  // namespace caravan::io
