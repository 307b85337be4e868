// Owns the start of the page that describes a service's interface: Swagger UI over the service's own document.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });
