// A page as one file: the shell that every page of this project has, with its style, and programs that nothing but the
// page itself can bring.
#pragma once

#include <string>
#include <vector>

namespace bakeoff {

struct Document {
  std::string title;
  std::string style;                 // CSS after the common one's
  std::string body;                  // HTML
  std::vector<std::string> data;     // whole <script type="application/json"> elements (json_element())
  std::vector<std::string> scripts;  // programs; empty: the page needs none and allows none
};

// BLOCKS: disk, for the common style.
std::string to_html(const Document& document);

// A file of the source tree or of the installed data, by its path from there ("results/page/page.js"). StartError when
// it cannot be read. BLOCKS: disk.
std::string data_text(const std::string& path);

// <script type="application/json" id="ID">JSON</script>, whatever is in the JSON.
std::string json_element(const std::string& id, const std::string& json);

// A section with its heading; nothing where there is no content.
std::string section(const std::string& id, const std::string& title, const std::string& content);

// A name within text: isolated, so that one written from right to left leaves what is around it alone.
std::string isolated(const std::string& text);

// A table in a box of its own that scrolls, by keyboard as well. The first `names` columns are text, the others
// numbers; heads and caption are escaped here, cells are HTML.
std::string table_element(const std::string& caption, const std::vector<std::string>& heads, std::size_t names,
                          const std::vector<std::vector<std::string>>& rows);

// Text as paragraphs: an empty line ends one.
std::string paragraphs(const std::string& text);

}  // namespace bakeoff
