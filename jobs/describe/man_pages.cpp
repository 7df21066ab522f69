#include "jobs/describe/man_pages.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/describe/inner_verbs.hpp"

namespace caravan::jobs {
namespace {

/// As roff prints it: its own signs are letters, and no line begins with a request.
std::string literal(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '\n')
      out += "\n\\&";
    else
      out += c;
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string item(const std::string& name, const std::string& kind, const std::string& text) {
  return fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", literal(name),
                     kind.empty() ? "" : " \\fI" + literal(kind) + "\\fR", literal(text));
}

std::string kind_of(const CLI::Option& option) {
  if (option.get_expected_max() == 0) return "";
  const std::string otherwise = option.get_default_str();
  return option.get_type_name() + (otherwise.empty() ? "" : "=" + otherwise);
}

std::string options_text(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options())
    text +=
        item(option->get_name(option->get_positional(), true), kind_of(*option), option->get_description());
  return text;
}

std::string synopsis(const CLI::App& app, const std::string& called) {
  std::string text = fmt::format("\\fB{}\\fR", literal(called));
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) continue;
    const std::string name = literal(option->get_name(true));
    text += option->get_required() ? fmt::format(" \\fI{}\\fR", name) : fmt::format(" [\\fI{}\\fR]", name);
  }
  return text + (verbs_of(app).empty() ? " [\\fIOPTIONS\\fR]\n" : " \\fISUBCOMMAND\\fR [\\fIOPTIONS\\fR]\n");
}

/// A subcommand and those within it.
std::string sections_text(const CLI::App& app, const std::string& called) {
  std::string text = fmt::format(".SS {}\n{}\n.P\n{}", literal(called), literal(app.get_description()),
                                 synopsis(app, called) + options_text(app));
  for (const CLI::App* inner : verbs_of(app)) text += sections_text(*inner, called + " " + inner->get_name());
  return text;
}

std::string head(const std::string& page, const std::string& summary, const std::string& version) {
  std::string capitals = page;
  std::ranges::transform(capitals, capitals.begin(), [](unsigned char c) { return std::toupper(c); });
  return fmt::format(".TH {} 1 \"\" \"caravan {}\" \"caravan\"\n.SH NAME\n{} \\- {}\n", literal(capitals),
                     version, literal(page), literal(summary));
}

constexpr const char* kExitStatus =
    ".SH EXIT STATUS\n0: done. 1: failed, or beyond a tolerance. 2: wrong use, a job or a parameter that is "
    "refused. 3: a file "
    "that cannot be used. Others are listed in docs/exit\\-codes.md.\n";

Page page_of(const CLI::App& verb, const std::string& version) {
  const std::string name = "caravan-" + verb.get_name(), called = "caravan " + verb.get_name();
  std::string text = head(name, verb.get_description(), version) + ".SH SYNOPSIS\n" + synopsis(verb, called) +
                     ".SH OPTIONS\n" + options_text(verb);
  const auto inner = verbs_of(verb);
  if (!inner.empty()) text += ".SH SUBCOMMANDS\n";
  for (const CLI::App* one : inner) text += sections_text(*one, called + " " + one->get_name());
  return {name + ".1", text + kExitStatus + ".SH SEE ALSO\n\\fBcaravan\\fR(1)\n"};
}

Page page_of_all(const CLI::App& app, const std::string& version) {
  std::string text = head("caravan", app.get_description(), version) + ".SH SYNOPSIS\n" +
                     synopsis(app, "caravan") + ".SH OPTIONS\n" + options_text(app) + ".SH VERBS\n";
  std::string others;
  for (const CLI::App* verb : verbs_of(app)) {
    text += item(verb->get_name(), "", verb->get_description());
    others +=
        fmt::format("{}\\fBcaravan\\-{}\\fR(1)", others.empty() ? "" : ",\n", literal(verb->get_name()));
  }
  return {"caravan.1", text + kExitStatus + ".SH SEE ALSO\n" + others + "\n"};
}

}  // namespace

std::vector<Page> man_pages(const CLI::App& app, const std::string& version) {
  std::vector<Page> pages{page_of_all(app, version)};
  for (const CLI::App* verb : verbs_of(app)) pages.push_back(page_of(*verb, version));
  return pages;
}

}  // namespace caravan::jobs
