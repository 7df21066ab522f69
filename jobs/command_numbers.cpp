#include "jobs/command_numbers.hpp"

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"
#include "core/base/schema_type.hpp"

namespace caravan::jobs {
namespace {

/// The text as a value of a job that stands on the command line, checked.
Config checked(const std::string& name, const std::string& text, ParamType::Value type,
               const std::string& range_text) {
  Config line = Config::parse("", "command line");
  line.set(name, Config::scalar(text));
  const auto range = ParamRange::parse(range_text);
  CARAVAN_CHECK(range, Error, fmt::format("option {} has the range {}", name, shown(range_text)));
  check_value(line.at(name), ParamType{type, false, {}}, *range, range_text);
  return line.at(name);
}

}  // namespace

std::int64_t read_integer(const std::string& name, const std::string& text, const std::string& range) {
  return checked(name, text, ParamType::Value::integer, range).as_int();
}

double read_number(const std::string& name, const std::string& text, const std::string& range) {
  return checked(name, text, ParamType::Value::number, range).as_float();
}

std::string shown_type(const char* type, const std::string& range) {
  const bool is_interval = range.starts_with('[') || range.starts_with('(');
  return fmt::format("{} {}{}", type, is_interval ? "in " : "", range);
}

CLI::Option* add_texts(CLI::App& app, const std::string& name, const CLI::callback_t& take,
                       const std::string& help, const std::string& type) {
  return app.add_option(name, take, help)->type_name(type);
}

CLI::Option* add_number(CLI::App& app, const std::string& name, double& target, const std::string& range,
                        const std::string& help) {
  const auto take = [name, range, &target](const CLI::results_t& texts) {
    target = read_number(name, texts.at(0), range);
    return true;
  };
  return add_texts(app, name, take, help, shown_type("NUMBER", range))
      ->default_str(fmt::format("{}", target));
}

std::vector<std::int32_t> read_token_ids(const std::string& name, const std::string& text,
                                         const std::string& separators) {
  const std::string between = " \t\r\n" + separators;
  std::vector<std::int32_t> ids;
  for (std::size_t at = 0; (at = text.find_first_not_of(between, at)) != std::string::npos;) {
    const std::size_t end = std::min(text.find_first_of(between, at), text.size());
    ids.push_back(static_cast<std::int32_t>(read_integer(name, text.substr(at, end - at), kTokenIds)));
    at = end;
  }
  return ids;
}

}  // namespace caravan::jobs
