#include "jobs/drawing/svg_page.hpp"

#include "jobs/drawing/fitted_text.hpp"

namespace caravan::jobs {

namespace {

constexpr double kMargin = 12, kBold = 1.12;

/// What stands inside of a text element.
std::string content(const std::string& text, double size, double room) {
  const std::string shown = fitted(text, size, room);
  if (shown == text) return escaped(text);
  return fmt::format("{}<title>{}</title>", escaped(shown), escaped(text));
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else
      out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out;
}

SvgPage::SvgPage(double width, double height) : width_(width) {
  add(R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}" )"
      R"(font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="{2}">)"
      "\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      width, height, kFont);
}

void SvgPage::title(const std::string& text) {
  heading(24, 16, "bold", text);
}

void SvgPage::subtitle(const std::string& text) {
  heading(44, 12.5, "normal", text);
}

void SvgPage::heading(double y, double size, const char* weight, const std::string& text) {
  const double letters = std::string_view(weight) == "bold" ? size * kBold : size;
  add("<text x=\"{}\" y=\"{}\" font-size=\"{}\" font-weight=\"{}\">{}</text>\n", kMargin, y, size, weight,
      content(text, letters, width_ - 2 * kMargin));
}

void SvgPage::text(const Label& label, const std::string& text) {
  const std::string turn = label.turned == 0 ? ""
                                             : fmt::format(" transform=\"rotate({:.0f} {:.1f} {:.1f})\"",
                                                           label.turned, label.x, label.y);
  add("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\" font-size=\"{:.1f}\"{}>{}</text>\n",
      label.x, label.y, label.anchor, label.fill, label.size, turn, content(text, label.size, label.room));
}

void SvgPage::line(double x1, double y1, double x2, double y2, const char* stroke) {
  add("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2, y2, stroke);
}

std::string SvgPage::finish() && {
  svg_ += "</svg>\n";
  return std::move(svg_);
}

}  // namespace caravan::jobs
