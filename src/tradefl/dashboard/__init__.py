"""The live console: a consortium in the browser, solved again at every move of a slider."""
