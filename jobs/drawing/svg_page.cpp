#include "jobs/drawing/svg_page.hpp"

namespace caravan::jobs {

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

SvgPage::SvgPage(double width, double height) {
  add(R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}" )"
      R"(font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="{2}">)"
      "\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      width, height, kFont);
}

void SvgPage::title(const std::string& text) {
  add("<text x=\"12\" y=\"24\" font-size=\"16\" font-weight=\"bold\">{}</text>\n", escaped(text));
}

void SvgPage::subtitle(const std::string& text) {
  add("<text x=\"12\" y=\"44\" font-size=\"12.5\">{}</text>\n", escaped(text));
}

void SvgPage::text(const Label& label, const std::string& text) {
  add("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\" font-size=\"{:.1f}\">{}</text>\n",
      label.x, label.y, label.anchor, label.fill, label.size, escaped(text));
}

void SvgPage::line(double x1, double y1, double x2, double y2, const char* stroke) {
  add("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2, y2, stroke);
}

std::string SvgPage::finish() && {
  svg_ += "</svg>\n";
  return std::move(svg_);
}

}  // namespace caravan::jobs
