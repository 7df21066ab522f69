#pragma once

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace caravan::jobs {

/// Options of the command line that are numbers: read by the same code as keys of job files and refused in
/// the same words, "command line: --seed=010 (must be an integer such as 12: plain decimal digits, …)".
/// `range` is written as in a schema: "[1, 100]", "> 0". CLI11's own conversions take 010 for 8 and let NaN
/// through its ranges.
std::int64_t read_integer(const std::string& name, const std::string& text, const std::string& range);
double read_number(const std::string& name, const std::string& text, const std::string& range);

/// "INT in [1, 100]", "INT >= 0"
std::string shown_type(const char* type, const std::string& range);
/// What the helpers below share: an option that is given its texts.
CLI::Option* add_texts(CLI::App& app, const std::string& name, const CLI::callback_t& take,
                       const std::string& help, const std::string& type);

/// `range` must lie within T. The value that `target` has is shown as the default.
template <class T>
CLI::Option* add_integer(CLI::App& app, const std::string& name, T& target, const std::string& range,
                         const std::string& help) {
  const auto take = [name, range, &target](const CLI::results_t& texts) {
    target = static_cast<T>(read_integer(name, texts.at(0), range));
    return true;
  };
  return add_texts(app, name, take, help, shown_type("INT", range))->default_str(std::to_string(target));
}

/// An integer that has no default to be shown.
template <class T>
CLI::Option* add_wanted_integer(CLI::App& app, const std::string& name, T& target, const std::string& range,
                                const std::string& help) {
  return add_integer(app, name, target, range, help)->default_str("");
}

CLI::Option* add_number(CLI::App& app, const std::string& name, double& target, const std::string& range,
                        const std::string& help);

/// Any number of integers.
template <class T>
CLI::Option* add_integers(CLI::App& app, const std::string& name, std::vector<T>& target,
                          const std::string& range, const std::string& help) {
  const auto take = [name, range, &target](const CLI::results_t& texts) {
    for (const std::string& text : texts) target.push_back(static_cast<T>(read_integer(name, text, range)));
    return true;
  };
  return add_texts(app, name, take, help, shown_type("INT", range))
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args();
}

/// What a token id can be.
inline const std::string kTokenIds = "[0, 2147483646]";

/// Token ids between blanks and the characters of `separators`.
std::vector<std::int32_t> read_token_ids(const std::string& name, const std::string& text,
                                         const std::string& separators);

}  // namespace caravan::jobs
